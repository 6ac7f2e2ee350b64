"""ECENet as its authors released it: backbones, stages, losses by the way, refusals. Its numbers are checked in
`test_release_fixture.py`."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ecenet.common.error_codes import ErrorCode
from ecenet.model.config import ReleaseConfig
from ecenet.model.layers.release_parts import (
    GatedAddition,
    MaskExtraction,
    NegatedAttention,
    diversity_map,
    mask_grid,
    position_diversity_loss,
)
from ecenet.model.layers.vit_pyramid import ViTPyramid
from ecenet.model.release import ECENetRelease
from tests.support.edited import run
from tests.support.helpers import SMALL_RELEASE, small_release
from tests.support.refusals import refused

K, D = 3, 16
STAGES = ["ece", "stage3", "stage2", "stage1", "final"]
GRIDS = [(2, 3), (4, 6), (8, 12), (16, 24), (16, 24)]
"""Of `images`, coarse to fine."""


@pytest.fixture(scope="module")
def model() -> ECENetRelease:
    return small_release()


@pytest.fixture
def features(model: ECENetRelease, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return model.backbone(images)


def test_stages_have_the_documented_shapes_and_pass_embeddings_on(model: Any, features: list[Tensor]) -> None:
    output = run(model, features)
    assert list(output.stages) == model.stage_names == STAGES
    embeddings = None
    for (name, stage), grid in zip(output.stages.items(), GRIDS, strict=True):
        assert stage.features.shape == (2, D, *grid)
        assert stage.similarity.shape == stage.mask_logits.shape == (2, K, *grid)
        assert stage.embeddings_before.shape == stage.embeddings_after.shape == (2, K, D)
        if name.startswith("stage"):
            assert stage.gate is not None
            assert stage.gate.shape == (2, K, D)
            assert stage.gate.min() > 0
            assert stage.gate.max() < 1
        else:
            assert stage.gate is None
        if embeddings is not None:
            assert torch.equal(stage.embeddings_before, embeddings)
        embeddings = stage.embeddings_after
    assert output.logits is output.stages["final"].mask_logits
    assert output.diversity == 0, "only training computes it"


BACKBONES: list[tuple[str, tuple[int, ...]]] = [
    ("swin_tiny_patch4_window7_224", (0, 1, 2, 3)),
    ("mobilenetv2_100", (1, 2, 3, 4)),
    ("efficientnet_b0", (1, 2, 3, 4)),
    ("convnext_atto", (0, 1, 2, 3)),
    ("vit_tiny_patch16_224", (11,)),
    ("vit_tiny_patch16_224", (2, 5, 8, 11)),
]


@pytest.mark.parametrize(("backbone", "out_indices"), BACKBONES)
def test_every_family_of_backbones_has_stages_at_strides_4_to_32(backbone: str, out_indices: tuple[int, ...]) -> None:
    model = small_release(backbone=backbone, out_indices=out_indices, drop_path=0.1)
    assert model.backbone.size_divisor == 32
    with torch.inference_mode():
        output = model(torch.zeros(1, 3, 64, 160))
    assert [tuple(stage.mask_logits.shape[2:]) for stage in output.stages.values()] == [
        *((2, 5), (4, 10), (8, 20), (16, 40), (16, 40))
    ]
    with refused("invalid-value", 32, "64×80", "64×96"):
        model(torch.zeros(1, 3, 64, 80))


@pytest.mark.parametrize(
    ("backbone", "out_indices", "code", "named"),
    [
        ("mobilenetv2_100", (0, 1, 2, 4), "unsuitable-backbone", ["mobilenetv2_100", "2, 4, 8, 32", "out_indices"]),
        ("mobilenetv2_100", (4,), "unsuitable-backbone", ["mobilenetv2_100", 32]),
        ("vit_base_patch32_224", (2, 5, 8, 11), "unsuitable-backbone", [16, "32, 32, 32, 32"]),
        ("vit_tinny_patch16_224", (11,), "unsuitable-backbone", ["vit_tinny_patch16_224"]),
        ("hrnet_w18_small", (1, 2, 3, 4), "unsuitable-backbone", ["drop_path", "hrnet_w18_small"]),
    ],
)
def test_backbones_without_four_stages_are_refused(
    backbone: str, out_indices: tuple[int, ...], code: ErrorCode, named: list[object]
) -> None:
    with refused(code, *named) as caught, torch.device("meta"):
        small_release(backbone=backbone, out_indices=out_indices, drop_path=0.1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"embed_dim": 15}, ["embed_dim", "num_heads", "15 and 2"]),
        ({"num_heads": 0}, ["num_heads", 0]),
        ({"out_indices": (1, 2, 3)}, ["out_indices", "(1, 2, 3)"]),
        ({"drop_path": 1.0}, ["drop_path", 1.0]),
        ({"feature_norms": 1}, ["feature_norms", 1]),
    ],
)
def test_bad_configs_are_refused(changes: dict[str, Any], named: list[object]) -> None:
    with refused("invalid-config", *named):
        replace(SMALL_RELEASE, **changes)
    assert ReleaseConfig(out_indices=[1, 2, 3, 4]).out_indices == (1, 2, 3, 4)  # type: ignore[arg-type]


def test_a_vits_pyramid_makes_each_stage_of_its_own_block() -> None:
    pyramid = ViTPyramid(width=32)
    maps = [torch.randn(1, 32, 4, 6) for _ in range(4)]
    with torch.no_grad():
        plain = pyramid(maps)
        changed = pyramid([*maps[:3], maps[3] + 1])
        one = pyramid(maps[:1])
    assert [tuple(level.shape[1:]) for level in plain] == [(8, 16, 24), (16, 8, 12), (32, 4, 6), (32, 2, 3)]
    assert [torch.equal(a, b) for a, b in zip(plain, changed, strict=True)] == [True, True, True, False]
    assert torch.equal(one[0], plain[0])
    assert torch.equal(one[2], maps[0])


def test_the_finest_grid_of_ece_is_odd_and_about_the_root_of_k() -> None:
    assert [mask_grid(k) for k in (1, 2, 3, 4, 8, 9, 15, 16, 45, 150, 171)] == [1, 1, 1, 3, 3, 3, 3, 5, 7, 13, 13]
    assert MaskExtraction(num_classes=150, embed_dim=4).project.in_features == 50 + 13**2


def test_embeddings_are_a_linear_map_of_mask_logits_alone() -> None:
    extract = MaskExtraction(num_classes=K, embed_dim=D)
    one, other = torch.randn(2, 1, K, 6, 6)
    with torch.no_grad():
        bias = extract.project.bias
        both = extract(one + 2 * other) - bias
        torch.testing.assert_close(both, (extract(one) - bias) + 2 * (extract(other) - bias), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(extract(one[:, [2, 0, 1]]), extract(one)[:, [2, 0, 1]])
        flat = extract(torch.full((1, K, 5, 7), 3.0)) - bias
    torch.testing.assert_close(flat[0, 0], 3 * extract.project.weight.sum(dim=1), atol=1e-5, rtol=1e-4)


def test_attention_reads_most_where_the_score_is_lowest() -> None:
    """One head, one cell, identity projections: the scores are the query's products with two keys."""
    attention = NegatedAttention(embed_dim=2, num_heads=1)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.query.get_parameter("0.weight")[:, 0, 1, 1] = 1
        attention.query.get_parameter("1.weight")[:, :, 0, 0] = torch.eye(2)
        attention.key_value.weight.copy_(torch.cat([torch.eye(2), torch.eye(2)]))
        attention.project.weight[:, :, 0, 0] = torch.eye(2)
        query = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
        embeddings = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        read, mask = attention(query, embeddings)
    score = 3 / 2**0.5
    torch.testing.assert_close(mask.flatten(), torch.tensor([score, 0.0]))
    shares = torch.tensor([0.0, score]).softmax(dim=0)
    torch.testing.assert_close(read.flatten(), shares)
    assert shares[1] > 0.8, "the class that fits least"
    with torch.no_grad():
        read, silent = attention(query, embeddings, without=(1,))
    assert torch.equal(silent, mask)
    torch.testing.assert_close(read.flatten(), torch.tensor([1.0, 0.0]))


def test_a_gate_of_nought_adds_nothing_of_the_masks_evidence() -> None:
    update = GatedAddition(embed_dim=D)
    embeddings, one, other = torch.randn(3, 1, K, D)
    with torch.no_grad():
        shut = [update(embeddings, evidence, gate=0.0)[0] for evidence in (one, other)]
        open_ = [update(embeddings, evidence, gate=1.0)[0] for evidence in (one, other)]
        forced = update(embeddings, one, gate=0.25)[1]
    assert torch.equal(*shut)
    torch.testing.assert_close(shut[0], update.output_norm(update.output(embeddings)).relu())
    assert not torch.allclose(open_[0], open_[1], atol=1e-2)
    assert (forced == 0.25).all()


def test_diversity_is_nought_where_every_channel_looks_elsewhere() -> None:
    cells = 100 * torch.eye(4).view(1, 4, 2, 2)
    assert diversity_map(cells).flatten().tolist() == pytest.approx([1, 1, 1, 1], abs=1e-6)
    assert position_diversity_loss(cells).item() == pytest.approx(0, abs=1e-6)
    alike = cells[:, :1].expand(-1, 4, -1, -1)
    assert position_diversity_loss(alike).item() == pytest.approx(1 - 1 / 4, abs=1e-6)
    # Two channels, two positions, softmaxes (¾, ¼) and (½, ½): the highest are ¾ and ½.
    maps = torch.tensor([[[[3.0, 1.0]], [[1.0, 1.0]]]]).log()
    assert position_diversity_loss(maps).item() == pytest.approx(1 - 1.25 / 2)


def test_gradients_reach_every_parameter_and_diversity_is_computed(images: Tensor) -> None:
    model = small_release().train()
    output = model(images)
    assert 0 < output.diversity < 1
    (output.logits.square().mean() + output.diversity).backward()
    untouched = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert untouched == []


def test_bf16_compiled_and_exported_it_says_the_same(model: Any, images: Tensor) -> None:
    expected = run(model, model.backbone(images))
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(model, backend="eager", fullgraph=True)(images)
        exported = torch.export.export(model, (images,)).module()(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(images)
    for output, tolerance in ((compiled, 1e-5), (exported, 1e-5), (half, 0.1)):
        for name, stage in expected.stages.items():
            torch.testing.assert_close(
                output.stages[name].mask_logits.float(), stage.mask_logits, rtol=tolerance, atol=tolerance
            )
