"""SegViT alone, and with explicit embeddings and their updater: stages, losses, edits, refusals."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.model.config import SegViTConfig
from ecenet.model.edits import AddedClass, HeadEdits, StageEdits
from ecenet.model.layers.attention_to_mask import semantic_logits
from ecenet.model.outputs import ECENetOutput, StageOutput
from ecenet.model.segvit import SegViT
from ecenet.training.config import LossConfig, StageLoss
from ecenet.training.losses.segmentation import matched_loss, segmentation_losses
from tests.support.edited import at, differing, run
from tests.support.helpers import (
    EXPLICIT,
    SMALL_SEGVIT,
    small_segvit,
)
from tests.support.refusals import refused

VARIANTS: list[dict[str, Any]] = [{}, EXPLICIT]
RELEASED = {**EXPLICIT, "extraction": "logits", "updater": "gated_addition"}
each_variant = pytest.mark.parametrize("overrides", VARIANTS, ids=["plain", "explicit"])
K, D, GRID = 3, 16, (4, 6)


def kept(model: SegViT, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return model.backbone(images)


def assert_same(one: ECENetOutput, other: ECENetOutput) -> None:
    assert list(one.stages) == list(other.stages)
    for name, stage in one.stages.items():
        for field, a, b in zip(StageOutput._fields, stage, other.stages[name], strict=True):
            assert (a is None) == (b is None), f"{name}.{field}"
            if a is not None:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=f"{name}.{field}")


@each_variant
def test_stages_have_the_documented_shapes_and_pass_embeddings_on(overrides: dict[str, Any], images: Tensor) -> None:
    model = small_segvit(**overrides)
    output = run(model, kept(model, images))
    first = ["ece"] if overrides else []
    assert list(output.stages) == model.stage_names == [*first, "stage2", "stage1", "final"]
    embeddings = None
    for name, stage in output.stages.items():
        assert stage.features.shape == (2, D, *GRID)
        assert stage.similarity.shape == stage.mask_logits.shape == (2, K, *GRID)
        assert stage.embeddings_before.shape == stage.embeddings_after.shape == (2, K, D)
        decoded = name.startswith("stage")
        assert (stage.gate is not None) == (bool(overrides) and decoded)
        assert (stage.class_logits is not None) == decoded
        if embeddings is not None:
            assert torch.equal(stage.embeddings_before, embeddings)
        embeddings = stage.embeddings_after
    assert output.logits is output.stages["final"].mask_logits
    total = output.stages["stage2"].similarity + output.stages["stage1"].similarity
    torch.testing.assert_close(output.stages["final"].similarity, total)


def test_plain_segvit_predicts_what_its_last_stage_does(images: Tensor) -> None:
    model = small_segvit()
    stages = run(model, kept(model, images)).stages
    assert torch.equal(stages["final"].mask_logits, stages["stage1"].mask_logits)
    start = stages["stage2"].embeddings_before
    assert torch.equal(start[0], start[1]), "learned embeddings know no image"
    assert not torch.allclose(stages["stage2"].embeddings_after[0], stages["stage2"].embeddings_after[1], atol=1e-3)


def test_masks_and_classes_combine_as_two_hand_computed_cells() -> None:
    # Two embeddings: the first is surely class 0; the second class 1 or absent, both alike.
    class_logits = torch.tensor([[[50.0, 0, 0], [0, 50, 50]]])
    masks = torch.tensor([[[[0.0, -50]], [[50, 0]]]])
    shares = semantic_logits(class_logits, masks).exp()
    torch.testing.assert_close(shares, torch.tensor([[[[0.5, 0]], [[0.5, 0.25]]]]), rtol=1e-4, atol=1e-6)


def test_combining_on_the_grid_differs_from_the_authors_order_in_few_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    regions = F.interpolate(torch.randn(2, 10, 5, 5, generator=generator), size=(32, 32), mode="bicubic").argmax(dim=1)
    masks = F.avg_pool2d(12 * F.one_hot(regions, 10).permute(0, 3, 1, 2).float() - 6, 3, 1, 1, count_include_pad=False)
    classes = torch.cat([8 * torch.eye(10), torch.ones(10, 1)], dim=1).expand(2, -1, -1)
    ours = F.interpolate(semantic_logits(classes, masks), scale_factor=16, mode="bilinear")
    theirs = semantic_logits(classes, F.interpolate(masks, scale_factor=16, mode="bilinear"))
    assert (ours.argmax(dim=1) == theirs.argmax(dim=1)).float().mean() > 0.985


@each_variant
def test_permuting_the_classes_permutes_every_stage(overrides: dict[str, Any], images: Tensor) -> None:
    model, order = small_segvit(**overrides), torch.tensor([2, 0, 1])
    permuted = copy.deepcopy(model)
    with torch.no_grad():
        rows = [permuted.classify.weight, permuted.classify.bias]
        if overrides:
            names = ("mask.3.weight", "mask.3.bias", "stand_ins")
            rows += [permuted.extract.get_parameter(name) for name in names]
        else:
            rows += [permuted.learned_embeddings]
        for tensor in rows:
            tensor[:K] = tensor[order]
    features = kept(model, images)
    plain, swapped = run(model, features), run(permuted, features)
    for name, stage in plain.stages.items():
        other = swapped.stages[name]
        torch.testing.assert_close(other.similarity, stage.similarity[:, order])
        torch.testing.assert_close(other.mask_logits, stage.mask_logits[:, order])
        torch.testing.assert_close(other.embeddings_after, stage.embeddings_after[:, order])


@pytest.mark.parametrize("overrides", [*VARIANTS, {"updater": "added"}, {"embeddings": "explicit"}, RELEASED], ids=str)
def test_gradients_reach_every_parameter(overrides: dict[str, Any], images: Tensor) -> None:
    model = small_segvit(**overrides).train()
    labels = torch.randint(K, (2, 64, 96), generator=torch.Generator().manual_seed(2))
    output = model(images)
    assert output.diversity == 0
    kinds: tuple[StageLoss, ...] = ("cross_entropy", "dice_focal")
    for kind in kinds:
        losses = segmentation_losses(output, labels, LossConfig(presence_weight=0.1, stage_loss=kind))
        losses.total.backward(retain_graph=True)
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    # A key's bias adds one number to all scores of a softmax: only the last layer's scores, the masks, see it.
    dead = {
        name
        for name, gradient in gradients.items()
        if not name.startswith("backbone.") and gradient.abs().max() < 3e-7 and not name.endswith(".key.bias")
    }
    assert dead == set()
    last = SMALL_SEGVIT.num_layers - 1
    assert all(gradients[f"decode.{level}.layers.{last}.read.key.bias"].abs().max() > 1e-6 for level in (0, 1))


def test_the_coarse_mask_learns_from_its_own_supervision_alone(images: Tensor) -> None:
    model = small_segvit(**EXPLICIT)
    model(images).logits.square().sum().backward()
    assert all(parameter.grad is None for parameter in model.extract.mask.parameters())


def test_the_loss_of_a_stage_is_what_one_counts_by_hand() -> None:
    # Two cells of class 0, one of class 1, one ignored; class 2 is not there and its mask does not count.
    labels = torch.tensor([[[0, 0], [1, 255]]])
    masks = torch.zeros(1, 3, 2, 2)
    masks[:, 2] = 7
    # With every probability one half: −log ½ for the mask, of which half squared and the balance are left; its mean
    # over three cells. Dice of class 0: (2 · 1 + 1) / (1.5 + 2 + 1), of class 1: (2 · ½ + 1) / (1.5 + 1 + 1).
    log2 = torch.tensor(2.0).log().item()
    focal = [0.25 * log2 * (2 * 0.25 + 0.75) / 3, 0.25 * log2 * (0.25 + 2 * 0.75) / 3]
    dice = [1 - 3 / 4.5, 1 - 2 / 3.5]
    of_masks = sum(20 * one + other for one, other in zip(focal, dice, strict=True)) / 2
    class_logits = torch.zeros(1, 3, 4)
    loss = matched_loss(class_logits, masks, labels)
    assert loss.item() == pytest.approx(2 * log2 + of_masks, rel=1e-5), "each of four answers is as likely"
    class_logits[0, 2, 3] = 50
    loss = matched_loss(class_logits, masks, labels)
    assert loss.item() == pytest.approx(2 * log2 * 2 / 2.1 + of_masks, rel=1e-5), "a class that is absent weighs 0.1"


def test_the_loss_of_a_batch_is_the_mean_over_its_images() -> None:
    generator = torch.Generator().manual_seed(0)
    class_logits, masks = torch.randn(2, K, K + 1, generator=generator), torch.randn(2, K, 4, 6, generator=generator)
    labels = torch.randint(K, (2, 64, 96), generator=generator)
    parts = [matched_loss(class_logits[i : i + 1], masks[i : i + 1], labels[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(matched_loss(class_logits, masks, labels), sum(parts) / 2)
    labels[1] = 255
    torch.testing.assert_close(matched_loss(class_logits, masks, labels), parts[0] / 2)


@each_variant
def test_an_image_is_learned_by_heart_and_bf16_agrees(overrides: dict[str, Any]) -> None:
    model = small_segvit(**overrides, num_layers=1).train()
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[:, :32, 32:], labels[:, 32:] = 1, 2
    image = torch.eye(3)[labels].permute(0, 3, 1, 2) * 2 - 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(50):
        loss = segmentation_losses(model(image), labels, LossConfig(diversity_weight=0.0)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    full = run(model, kept(model, image))
    assert (F.interpolate(full.logits, size=(64, 64), mode="bilinear").argmax(dim=1) == labels).float().mean() > 0.95
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(image)
    for name, stage in full.stages.items():
        assert half.stages[name].mask_logits.isfinite().all()
        assert (half.stages[name].mask_logits.argmax(dim=1) == stage.mask_logits.argmax(dim=1)).float().mean() > 0.9


def test_compiled_in_one_graph_and_exported_it_says_the_same(images: Tensor) -> None:
    model = small_segvit(**EXPLICIT, out_indices=(0,), num_layers=1)
    expected = run(model, kept(model, images))
    torch.compiler.reset()
    with torch.no_grad():
        assert_same(torch.compile(model, backend="eager", fullgraph=True)(images), expected)
        assert_same(torch.export.export(model, (images,)).module()(images), expected)


def test_images_of_another_size_than_the_position_embeddings_are_taken() -> None:
    model = small_segvit()
    assert model(torch.zeros(1, 3, 32, 112)).logits.shape == (1, K, 2, 7)
    with refused("invalid-value", 16, "64×90", "64×96"):
        model(torch.zeros(1, 3, 64, 90))


def test_a_mask_given_to_ece_makes_the_embeddings_and_its_own_changes_nothing(images: Tensor) -> None:
    model = small_segvit(**EXPLICIT, stand_ins=False)
    features = kept(model, images)
    plain = run(model, features)
    own = plain.stages["ece"].mask_logits.softmax(dim=1)
    same = run(model, features, at("ece", mask=own))
    torch.testing.assert_close(same.logits, plain.logits, rtol=1e-4, atol=1e-5)
    swapped = run(model, features, at("ece", mask=own[:, [1, 0, 2]]))
    before, after = plain.stages["ece"].embeddings_after, swapped.stages["ece"].embeddings_after
    torch.testing.assert_close(after, before[:, [1, 0, 2]], rtol=1e-4, atol=1e-5)


def test_what_a_stage_edit_reaches(images: Tensor) -> None:
    model = small_segvit(**EXPLICIT)
    features = kept(model, images)
    plain = run(model, features)
    mask = torch.full((2, K, *GRID), 1 / K)
    changed = differing(plain, run(model, features, at("stage2", mask=mask)))
    assert "stage2.similarity" not in changed
    assert {"stage2.mask_logits", "stage2.embeddings_after", "stage1.similarity", "final.mask_logits"} <= set(changed)
    off = run(model, features, at("stage1", updater=False)).stages
    assert off["stage1"].gate is None
    assert torch.equal(off["final"].mask_logits, off["stage1"].mask_logits), "the update is all that comes between"
    gate = run(model, features, HeadEdits(gate=0.25)).stages["stage2"].gate
    assert gate is not None
    assert gate.eq(0.25).all()
    moved = run(model, features, at("final", embeddings={0: torch.zeros(D)}))
    assert differing(plain, moved) == [
        *("final.mask_logits", "final.embeddings_before", "final.embeddings_after", "final.class_shares"),
    ]
    silent = run(model, features, HeadEdits(without=(1,)))
    assert all((stage.mask_logits.argmax(dim=1) != 1).all() for stage in silent.stages.values())


def test_without_attention_the_embeddings_know_no_image(images: Tensor) -> None:
    model = small_segvit()
    off = StageEdits(attention=False)
    output = run(model, kept(model, images), HeadEdits(stages={"stage2": off, "stage1": off}))
    embeddings = output.stages["final"].embeddings_after
    torch.testing.assert_close(embeddings[0], embeddings[1])


@pytest.mark.parametrize(
    ("overrides", "edits", "refusal"),
    [
        (
            EXPLICIT,
            HeadEdits(added=(AddedClass("a", (0, 0, 0), torch.zeros(1, D)),)),
            ("unsupported-by-weights", "class 'a'", "SegViT"),
        ),
        (EXPLICIT, HeadEdits(diverse=False), ("unsupported-by-weights", "Feature Reconstruction")),
        ({}, HeadEdits(gate=0.5), ("unsupported-by-weights", "gated updater", "off")),
        ({}, at("ece", mask=torch.ones(1)), ("unknown-choice", "stage2, stage1, final", "'ece'")),
    ],
)
def test_edits_that_it_cannot_follow_are_refused(
    overrides: dict[str, Any], edits: HeadEdits, refusal: tuple[Any, ...], images: Tensor
) -> None:
    model = small_segvit(**overrides)
    with refused(*refusal) as caught:
        run(model, kept(model, images), edits)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"embed_dim": 15}, ("embed_dim", "multiple of num_heads", 15, 2)),
        ({"num_layers": 0}, ("num_layers", 1, 0)),
        ({"num_heads": "2"}, ("num_heads", 1, "'2'")),
        ({"updater": "gate"}, ("updater", "off, added, gated", "'gate'")),
        ({"out_indices": (2, 1)}, ("out_indices", "increasing", "(2, 1)")),
        ({"pool_grids": (0,)}, ("pool_grids", 1, "(0,)")),
    ],
)
def test_bad_configs_are_refused(changes: dict[str, Any], named: tuple[object, ...]) -> None:
    with refused("invalid-config", *named):
        replace(SMALL_SEGVIT, **changes)
    assert SegViTConfig(out_indices=[1, 2]).out_indices == (1, 2)  # type: ignore[arg-type]
