"""What a training leaves open is filled in: options from the weights it starts from, schedules from its length."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

import ecenet.model.backbone
from ecenet.data.layouts.folder import read_folder
from ecenet.inference.weights import save_model, shipped_weights
from ecenet.training.config import DataConfig, ModelConfig, StartConfig, TrainConfig
from ecenet.training.loop import train
from ecenet.training.settings import lasting_settings
from ecenet.training.settled import notes, settled
from ecenet.training.setup import new_model
from tests.support.helpers import changed, small_model, small_segvit, tiny_training, write_classes, write_folder
from tests.support.refusals import assert_names, refused


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """Of sky, grass and cat, with options that are no defaults."""
    save_model(small_model(config=ModelConfig(embed_dim=16, taper=False, dropout=0.2)), tmp_path / "weights")
    return str(tmp_path / "weights")


def starting(weights: str, **changes: Any) -> TrainConfig:
    return changed(TrainConfig(DataConfig(Path("data")), Path("out")), start_from=weights, **changes)


def test_the_model_is_built_as_the_weights_were(weights: str, tmp_path: Path) -> None:
    config = settled(starting(weights))
    assert config.model == ModelConfig(embed_dim=16, taper=False), "but for what regularises a training"
    assert any("embed_dim 16" in note for note in notes(config))
    write_classes(write_folder(tmp_path / "data", splits=("train",), images=1), names=["a", "b"])
    model = new_model(config, read_folder(tmp_path / "data", "train"))
    taken, source = model.state_dict(), small_model(config=ModelConfig(embed_dim=16, taper=False)).state_dict()
    assert torch.equal(taken["classify.weight"], source["classify.weight"])


def test_an_option_that_was_given_and_is_another_is_refused_by_name(weights: str) -> None:
    with refused("conflicting-options", "--embed-dim 32", 16, weights):
        settled(starting(weights, model=ModelConfig(embed_dim=32)))
    assert settled(starting(weights, model=ModelConfig(embed_dim=16, dropout=0.5))).model.dropout == 0.5


def test_the_architecture_is_the_weights_too(tmp_path: Path) -> None:
    save_model(small_segvit(), tmp_path / "weights")
    config = settled(starting(str(tmp_path / "weights")))
    assert config.architecture == "segvit"
    assert config.segvit.backbone == "vit_tiny_patch16_224"
    with refused("conflicting-options", "--architecture segvit", "ecenet-release"):
        settled(starting(str(tmp_path / "weights"), architecture="ecenet-release"))


@pytest.mark.parametrize("name", shipped_weights())
def test_every_shipped_checkpoint_can_be_started_from(name: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path, splits=("train",), images=1)
    new_model(settled(starting(name)), read_folder(root, "train"))


@pytest.mark.parametrize(
    ("steps", "warmup", "rest"), [(6000, 200, 3000), (100_000, 200, 3000), (1000, 100, 500), (20, 2, 10), (1, 0, 0)]
)
def test_schedules_scale_with_the_steps(steps: int, warmup: int, rest: int) -> None:
    config = TrainConfig(DataConfig(Path("data")), Path("out"), steps=steps)
    assert (config.warmup_steps, config.frozen_steps) == (warmup, rest)
    assert any(str(steps) in note for note in notes(config)) == (steps < 6000)


def test_schedules_that_are_given_stay() -> None:
    config = changed(TrainConfig(DataConfig(Path("data")), Path("out"), steps=100), warmup_steps=77, frozen_steps=0)
    assert (config.warmup_steps, config.frozen_steps) == (77, 0)
    assert lasting_settings(config, class_names=[])["warmup_steps"] == 77


def test_a_random_backbone_is_never_frozen_and_it_is_said() -> None:
    config = TrainConfig(DataConfig(Path("data")), Path("out"), start=StartConfig(pretrained=False))
    assert config.random_backbone
    assert config.frozen_steps == 0
    assert not config.frozen_batch_norm
    (note,) = notes(config)
    assert_names(note, "random", "--start-from everyday")
    for start in (StartConfig(), StartConfig(start_from="everyday"), StartConfig(backbone_weights=Path("file"))):
        assert replace(config, start=start).frozen_batch_norm
        assert replace(config, start=start).frozen_steps == 3000


@pytest.mark.parametrize(
    ("backbone", "side", "fits"), [(14, 392, True), (14, 448, True), (14, 384, False), (16, 392, False)]
)
def test_crops_are_multiples_of_a_vits_patches(backbone: int, side: int, fits: bool) -> None:
    model = ModelConfig(backbone=f"vit_small_patch{backbone}_dinov2.lvd142m", output_stride=None)

    def config() -> TrainConfig:
        return TrainConfig(DataConfig(Path("data"), crop_size=side), Path("out"), model=model)

    if fits:
        config()
    else:
        with refused("out-of-range", "crop_size", side, 14 if backbone == 14 else 32):
            config()


def test_a_run_goes_on_with_the_schedules_that_it_began_with(tmp_path: Path) -> None:
    config = tiny_training(write_folder(tmp_path / "data", images=2), tmp_path / "run", validate_every=100)
    train(config)
    description = json.loads((config.out / "run.json").read_text())
    assert description["settings"]["frozen_steps"] == 0
    description["settings"] |= {"frozen_steps": 3000, "warmup_steps": 200}  # as when they did not scale
    (config.out / "run.json").write_text(json.dumps(description))
    again = settled(config)
    assert (again.frozen_steps, again.warmup_steps) == (3000, 200)


def test_where_the_hub_is_out_of_reach_the_weights_that_ship_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: object, **options: object) -> None:
        raise LocalEntryNotFoundError("offline")

    root = write_folder(tmp_path, splits=("train",), images=1)
    monkeypatch.setattr(ecenet.model.backbone.timm, "create_model", offline)
    with refused("download-failed", "mobilenetv2_100", "--start-from everyday"):
        new_model(TrainConfig(DataConfig(root), tmp_path / "run"), read_folder(root, "train"))
