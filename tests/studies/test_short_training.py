"""Short trainings of studies honour the settings of a training, or refuse them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ecenet.common.distributed import this_process
from ecenet.model.config import ModelConfig
from ecenet.studies.ablations import ablate
from ecenet.studies.benchmarks.training import loading_ratio
from ecenet.studies.decoders import compare, make_candidate
from ecenet.studies.short_training import Candidate, train_candidate
from ecenet.training.config import TrainConfig
from ecenet.training.loop import train
from ecenet.training.setup import new_model, new_predictor, read_splits
from tests.support.helpers import changed, tiny_training, write_backbone, write_folder
from tests.support.refusals import refused

VIT = ModelConfig(backbone="vit_tiny_patch16_224", out_indices=(2, 5, 8, 11), output_stride=None, embed_dim=8)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Two steps in which everything learns."""
    data = write_folder(tmp_path / "data", images=2)
    options: dict[str, Any] = {"steps": 2, "warmup_steps": 0, "frozen_steps": 0, "precision": "fp32"}
    return tiny_training(data, tmp_path / "out", crop_size=64, **options)


@pytest.fixture
def pretrained(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """The same from a backbone that counts as pretrained, whose batch-norm statistics therefore rest."""
    return changed(config, backbone_weights=write_backbone(tmp_path / "backbone.safetensors"))


class Seen(nn.Module):
    """Takes note of the precision that each pass through a network runs in."""

    def __init__(self, network: nn.Module, seen: set[torch.dtype]) -> None:
        super().__init__()
        self.network = network
        self.seen = seen

    def forward(self, images: Tensor) -> Any:
        output = self.network(images)
        self.seen.add(output.dtype if isinstance(output, Tensor) else output.stages["ece"].features.dtype)
        return output


def candidate_of(config: TrainConfig, decoder: str) -> Candidate:
    return make_candidate(decoder, config, read_splits(config.data).train)  # type: ignore[arg-type]


def trained(config: TrainConfig, candidate: Candidate | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The network's own weights (not the averaged ones) before and after a short training."""
    data, _, pixels = read_splits(config.data)
    candidate = candidate or make_candidate("ecenet", config, data)
    before = {name: value.clone() for name, value in candidate.network.state_dict().items()}
    preparation = new_predictor(config, new_model(config, data), device=this_process().device)
    train_candidate(candidate, config, data, pixels, preparation, title="test")
    return before, candidate.network.state_dict()


def moved(config: TrainConfig, candidate: Candidate | None = None) -> set[str]:
    """Names of the tensors that training changed."""
    before, after = trained(config, candidate)
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
@pytest.mark.parametrize("decoder", ["ecenet", "fpn"])
def test_the_precision_is_what_was_asked_for(
    config: TrainConfig, precision: str, expected: torch.dtype, decoder: str
) -> None:
    config, seen = changed(config, precision=precision), set[torch.dtype]()
    network, backbone = candidate_of(config, decoder)
    trained(config, Candidate(Seen(network, seen), backbone))
    assert seen == {expected}


@pytest.fixture
def autocast_dtypes(monkeypatch: pytest.MonkeyPatch) -> set[torch.dtype]:
    """In which precisions convolutions answered."""
    seen: set[torch.dtype] = set()
    forward = nn.Conv2d.forward

    def noted(self: nn.Conv2d, images: Tensor) -> Tensor:
        output = forward(self, images)
        seen.add(output.dtype)
        return output

    monkeypatch.setattr(nn.Conv2d, "forward", noted)
    return seen


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_an_ablation_trains_and_scores_in_the_precision_that_was_asked_for(
    config: TrainConfig, autocast_dtypes: set[torch.dtype], precision: str, expected: torch.dtype
) -> None:
    ablate(changed(config, precision=precision, steps=1), variants=["whole"], seeds=[0])
    assert autocast_dtypes == {expected}


def test_layers_of_a_backbone_learn_the_more_slowly_the_further_they_are(config: TrainConfig) -> None:
    config = changed(config, model=VIT, backbone_lr=1e-3, weight_decay=0.0, clip_grad=1e9, layer_decay=0.1, steps=1)
    before, after = trained(config)
    name = "backbone.network.model.blocks.{}.mlp.fc1.weight"
    steps = [float((after[key] - before[key]).abs().max()) for key in map(name.format, (11, 8))]
    assert steps == pytest.approx([1e-3, 1e-3 * 0.1**3], rel=0.05), "Adam's first step is the learning rate"


def test_a_backbone_without_layers_is_refused_before_it_is_trained(config: TrainConfig) -> None:
    with refused("unsuitable-backbone", "layer_decay 0.5", "layer_decay at 1"):
        ablate(changed(config, layer_decay=0.5), variants=["whole"], seeds=[0])


@pytest.mark.parametrize("decoder", ["ecenet", "fpn"])
@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_statistics_rest_or_follow(pretrained: TrainConfig, decoder: str, frozen: bool) -> None:
    config = changed(pretrained, frozen_batch_norm=frozen)
    candidate = candidate_of(config, decoder)
    before, _ = {name: value.clone() for name, value in candidate.backbone.named_buffers()}, trained(config, candidate)
    statistics = [name for name in before if name.endswith("running_mean")]
    after = dict(candidate.backbone.named_buffers())
    assert all(torch.equal(before[name], after[name]) == frozen for name in statistics)


@pytest.mark.parametrize("decoder", ["ecenet", "fpn"])
def test_the_backbone_rests_for_so_many_steps_and_its_frozen_stages_for_ever(config: TrainConfig, decoder: str) -> None:
    def learning(**changes: Any) -> set[str]:
        settings = changed(config, **changes)
        candidate = candidate_of(settings, decoder)
        prefix = "backbone.network." if decoder == "ecenet" else "encoder.model."
        parameters = {name for name, _ in candidate.network.named_parameters()}
        changes_of = moved(settings, candidate) & parameters
        return {name.removeprefix(prefix) for name in changes_of if name.startswith(prefix)}

    assert learning(frozen_steps=2) == set()
    everything = learning(frozen_steps=1)
    assert any(name.startswith("blocks.1.") for name in everything)
    later = learning(frozen_stages=1)
    assert later
    assert not any(name.startswith(("conv_stem", "bn1", "blocks.0.", "blocks.1.")) for name in later)
    assert any(name.startswith("blocks.2.") for name in later)


def test_parts_of_a_batch_train_alike(pretrained: TrainConfig) -> None:
    whole, parts = (trained(changed(pretrained, accumulate=parts, lr=1e-4))[1] for parts in (1, 2))
    assert all((parts[name] - value).abs().max() < 1e-3 for name, value in whole.items() if value.is_floating_point())
    with refused("conflicting-options", "batch_size", "processes × accumulate = 4", 2):
        ablate(changed(pretrained, accumulate=4), variants=["whole"], seeds=[0])


def test_steps_go_through_what_torch_compile_made(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[torch.dtype] = set()
    monkeypatch.setattr(torch, "compile", lambda network: Seen(network, seen))
    trained(config, candidate_of(config, "fpn"))
    assert not seen
    candidate = candidate_of(config, "fpn")
    assert moved(changed(config, compile=True), candidate), "the network itself learns"
    assert seen


def test_a_short_training_is_a_run_without_a_folder(config: TrainConfig, tmp_path: Path) -> None:
    """The same loop: `train` and a study with the same settings end with the same weights."""
    torch.manual_seed(config.seed)
    data, _, pixels = read_splits(config.data)
    model = new_model(config, data)
    candidate = Candidate(model, model.backbone.network)
    averaged = train_candidate(
        candidate, config, data, pixels, new_predictor(config, model, device=this_process().device), title="test"
    )
    train(changed(config, out=tmp_path / "run"))
    stored = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert all(torch.equal(value, stored["model"][name]) for name, value in model.state_dict().items())
    assert all(
        torch.equal(value, stored["averaged"][f"module.{name}"]) for name, value in averaged.state_dict().items()
    )


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ({"tensorboard": True}, "--tensorboard"),
        ({"validate_every": 10}, "--validate-every"),
        ({"save_every": 10}, "--save-every"),
    ],
)
def test_what_a_study_cannot_do_is_refused(config: TrainConfig, setting: dict[str, Any], option: str) -> None:
    settings = changed(config, **setting)
    with refused("conflicting-options", option):
        ablate(settings, variants=["whole"], seeds=[0])
    with refused("conflicting-options", option):
        compare(settings, decoders=["ecenet"], seeds=[0])
    assert not config.out.exists()


def test_decoders_that_cannot_start_from_an_ecenet_are_not_compared_with_one_that_does(config: TrainConfig) -> None:
    with refused("conflicting-options", "--start-from", "--backbone-weights"):
        compare(changed(config, start_from="everyday"), decoders=["ecenet", "fpn"], seeds=[0])


def test_loading_is_timed_with_the_steps_of_a_training(config: TrainConfig) -> None:
    figures = loading_ratio(config, blocks=1)
    real, repeated = (figures[f"seconds per step, {kind}"] for kind in ("real data", "one batch repeated"))
    assert figures["real data / repeated batch"] == pytest.approx(real / repeated, abs=0.01)
