"""ECENet as a whole: stages, ablations, gradients, precision, compilation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.model.ecenet import ECENet, resize
from ecenet.model.outputs import ECENetOutput
from ecenet.training.config import LossConfig
from ecenet.training.losses.segmentation import segmentation_losses
from tests.support.helpers import SWITCHES
from tests.support.refusals import refused

ABLATIONS: list[dict[str, Any]] = [
    {},
    {"embeddings": "learned"},
    {"reconstruction": "off"},
    {"reconstruction": "joined"},
    {"extraction": "mean"},
    {"updater": "off"},
    {"updater": "added"},
    {"taper": False},
    {"summed_masks": False},
    {"stand_ins": False},
    *SWITCHES,
]
MakeModel = Callable[..., ECENet]
each_ablation = pytest.mark.parametrize(
    "overrides", ABLATIONS, ids=lambda o: "-".join(map(str, o.values())) or "default"
)


def run(model: ECENet, images: Tensor) -> ECENetOutput:
    with torch.no_grad():
        return model(images)


def assert_same(one: ECENetOutput, other: ECENetOutput) -> None:
    assert list(one.stages) == list(other.stages)
    for name in one.stages:
        for field, a, b in zip(one.stages[name]._fields, one.stages[name], other.stages[name], strict=True):
            assert (a is None) == (b is None), f"{name}.{field}"
            if a is not None:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=f"{name}.{field}")
    torch.testing.assert_close(one.logits, other.logits, rtol=1e-4, atol=1e-5)


def test_stages_come_from_coarse_to_fine_with_the_documented_shapes(tiny_model: ECENet, images: Tensor) -> None:
    output = run(tiny_model, images)
    shapes = {
        "ece": (16, 4, 6),
        "stage4": (16, 4, 6),
        "stage3": (16, 4, 6),
        "stage2": (8, 8, 12),
        "stage1": (8, 16, 24),
        "final": (8, 16, 24),
    }
    assert list(output.stages) == tiny_model.stage_names == list(shapes)
    for name, stage in output.stages.items():
        width, *grid = shapes[name]
        assert stage.features.shape == (2, width, *grid)
        assert stage.similarity.shape == stage.mask_logits.shape == (2, 4, *grid)
        assert stage.embeddings_before.shape == stage.embeddings_after.shape == (2, 4, 16)
        gate_shape = (2, 4, 16) if name.startswith("stage") else None
        assert gate_shape == (None if stage.gate is None else stage.gate.shape)


def test_each_stage_says_what_outputs_documents(tiny_model: ECENet, images: Tensor) -> None:
    output = run(tiny_model, images)
    assert output.logits is output.stages["final"].mask_logits
    assert output.logits is not output.stages["final"].similarity
    embeddings = output.stages["ece"].embeddings_after
    for name in tiny_model.stage_names[1:-1]:
        stage = output.stages[name]
        assert stage.similarity is stage.mask_logits
        assert stage.embeddings_before is embeddings
        embeddings = stage.embeddings_after
    assert output.stages["final"].embeddings_after is embeddings
    assert output.diversity == 0, "only training pays for it"


def to_finest(maps: Tensor, output: ECENetOutput) -> Tensor:
    """Upsampled grid by grid, as the model does it."""
    grids = [stage.features.shape[-2:] for stage in output.stages.values()]
    for grid in grids[grids.index(maps.shape[-2:]) :]:
        maps = resize(maps, grid)
    return maps


def test_final_prediction_is_a_convolution_of_all_stages_and_the_last_mask(tiny_model: ECENet, images: Tensor) -> None:
    output = run(tiny_model, images)
    stages = [output.stages[name] for name in tiny_model.stage_names[1:-1]]
    convolutions = [tiny_model.fuse.get_submodule(str(level)) for level in (3, 2, 1, 0)]
    fused = F.conv2d(
        torch.cat([to_finest(stage.features, output) for stage in stages], dim=1),
        torch.cat([conv.get_parameter("weight") for conv in convolutions], dim=1),
        torch.stack([conv.get_parameter("bias") for conv in convolutions]).sum(dim=0),
    )
    final = output.stages["final"]
    torch.testing.assert_close(final.features, tiny_model.fuse_norm(fused), rtol=1e-3, atol=1e-4)
    masks = output.stages["stage1"].mask_logits
    torch.testing.assert_close(final.mask_logits, final.similarity + masks, rtol=1e-4, atol=1e-5)
    class_vectors = tiny_model.classify(final.embeddings_after)
    expected = torch.einsum("bdhw,bkd->bkhw", final.features, class_vectors) / 8**0.5
    torch.testing.assert_close(final.similarity, expected, rtol=1e-4, atol=1e-5)


def test_without_summed_masks_the_final_one_has_their_mean(make_model: MakeModel, images: Tensor) -> None:
    model = make_model(summed_masks=False)
    output = run(model, images)
    masks = [to_finest(output.stages[name].mask_logits, output) for name in model.stage_names[1:-1]]
    final = output.stages["final"]
    torch.testing.assert_close(final.mask_logits, final.similarity + torch.stack(masks).mean(dim=0))


def test_summed_masks_hold_the_scores_of_every_deeper_stage(make_model: MakeModel, images: Tensor) -> None:
    model = make_model()
    plain = run(model, images)
    with torch.no_grad():
        for level in range(3):
            model.get_parameter(f"attend.{level}.key.weight").zero_()
    output = run(model, images)
    deepest = output.stages["stage4"].mask_logits
    torch.testing.assert_close(deepest, plain.stages["stage4"].mask_logits)
    for name in ("stage3", "stage2", "stage1"):
        mask = output.stages[name].mask_logits
        torch.testing.assert_close(
            mask, to_finest(deepest, output) if name == "stage1" else resize(deepest, mask.shape[-2:])
        )


@each_ablation
def test_gradients_reach_every_parameter(make_model: MakeModel, overrides: dict[str, Any], images: Tensor) -> None:
    model = make_model(**overrides).train()
    labels = torch.randint(4, (2, 64, 96), generator=torch.Generator().manual_seed(2))
    losses = segmentation_losses(model(images), labels, LossConfig())
    losses.total.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())

    dead = {
        name for name, gradient in gradients.items() if not name.startswith("backbone.") and gradient.abs().max() < 3e-7
    }
    # The release's own: a bias before a batch norm, which takes it away again.
    dead -= {f"reconstruct.{level}.reconstruct.diverse.0.bias" for level in range(4)}
    assert dead == set(), "rounding noise is no gradient"


@pytest.mark.parametrize("updater", ["off", "added", "gated"])
def test_updater_rewrites_embeddings_unless_it_is_off(make_model: MakeModel, updater: str, images: Tensor) -> None:
    output = run(make_model(updater=updater), images)
    for name, stage in output.stages.items():
        if not name.startswith("stage"):
            continue
        unchanged = torch.equal(stage.embeddings_before, stage.embeddings_after)
        assert unchanged == (updater == "off")
        assert (stage.gate is not None) == (updater == "gated")
        if stage.gate is not None:
            assert ((stage.gate > 0) & (stage.gate < 1)).all()


def test_explicit_embeddings_depend_on_the_image_and_learned_ones_do_not(make_model: MakeModel, images: Tensor) -> None:
    explicit = run(make_model(), images).stages["ece"].embeddings_after
    assert (explicit[0] - explicit[1]).abs().mean() > 0.01
    model = make_model(embeddings="learned")
    learned = run(model, images).stages["ece"].embeddings_after
    torch.testing.assert_close(learned[0], learned[1], rtol=0, atol=0)
    torch.testing.assert_close(learned[0], model.learned_embeddings, rtol=0, atol=0)


def test_learned_embeddings_cannot_be_taken_from_a_mask(make_model: MakeModel) -> None:
    model = make_model(embeddings="learned")
    with refused("unsupported-by-weights", "embeddings: explicit"):
        model.extract.embed(torch.rand(1, 16, 4, 6), torch.rand(1, 4, 4, 6))


def test_mean_extraction_ignores_the_pyramid(make_model: MakeModel, images: Tensor) -> None:
    mean = make_model(extraction="mean")
    pyramid = make_model()
    empty_pyramid = make_model(pool_grids=())
    for other in (pyramid, empty_pyramid):
        other.load_state_dict(mean.state_dict())
    embeddings = [run(m, images).stages["ece"].embeddings_after for m in (mean, pyramid, empty_pyramid)]
    torch.testing.assert_close(embeddings[0], embeddings[2], rtol=0, atol=0)
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-3


def test_only_feature_reconstruction_has_a_diversity_loss(make_model: MakeModel, images: Tensor) -> None:
    assert make_model().train()(images).diversity > 0
    plain = make_model(reconstruction="off").train()
    assert plain(images).diversity == 0
    assert all(isinstance(module, torch.nn.Conv2d) for module in plain.reconstruct)


class Trained(NamedTuple):
    model: ECENet
    image: Tensor
    labels: Tensor


@pytest.fixture(scope="module")
def trained(make_model: MakeModel) -> Trained:
    """A tiny model after 50 steps on one synthetic image: two coloured rectangles before a background."""
    image, labels = torch.zeros(1, 3, 64, 96), torch.zeros(1, 64, 96, dtype=torch.long)
    image[:, 0] = 1
    for k, rows, columns, color in (
        (1, slice(20, 60), slice(10, 50), (-1, 1, -1)),
        (2, slice(8, 40), slice(60, 90), (-1, -1, 1)),
    ):
        image[:, :, rows, columns] = torch.tensor(color).view(3, 1, 1).float()
        labels[:, rows, columns] = k
    model = make_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch, targets = torch.cat([image, image.flip(-1)]), torch.cat([labels, labels.flip(-1)])
    for _ in range(50):
        loss = segmentation_losses(model(batch), targets, LossConfig()).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Trained(model.eval(), image, labels)


def test_one_image_can_be_learned_by_heart(trained: Trained) -> None:
    logits = resize(run(trained.model, trained.image).logits, (64, 96))
    assert (logits.argmax(dim=1) == trained.labels).float().mean() > 0.95


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"))],
)
def test_bf16_autocast_agrees_with_fp32(trained: Trained, device: str) -> None:
    model, image = trained.model.to(device), trained.image.to(device)
    full = run(model, image)
    with torch.autocast(device, dtype=torch.bfloat16):
        half = run(model, image)
    model.cpu()
    for name, stage in full.stages.items():
        other = half.stages[name]
        assert other.mask_logits.isfinite().all()
        torch.testing.assert_close(other.embeddings_after.float(), stage.embeddings_after, rtol=0.1, atol=0.15)
        agreement = (other.mask_logits.argmax(dim=1) == stage.mask_logits.argmax(dim=1)).float().mean()
        assert agreement > 0.93, f"{name}: {agreement:.3f}"  # a CPU without bf16 of its own rounds otherwise


def test_torch_compile_traces_the_model_in_one_graph(tiny_model: ECENet, images: Tensor) -> None:
    torch.compiler.reset()
    compiled = torch.compile(tiny_model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert_same(compiled(images), run(tiny_model, images))


def test_torch_export_gives_the_same_stages(tiny_model: ECENet, images: Tensor) -> None:
    with torch.no_grad():
        exported = torch.export.export(tiny_model, (images,)).module()
        assert_same(exported(images), run(tiny_model, images))


def test_equal_calls_make_equal_models(make_model: MakeModel, images: Tensor) -> None:
    """The tests above compare models; that needs `make_model` to be repeatable."""
    torch.testing.assert_close(run(make_model(), images).logits, run(make_model(), images).logits, rtol=0, atol=0)
