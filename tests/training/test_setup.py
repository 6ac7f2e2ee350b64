"""A training may begin where another ended."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ecenet.data.layouts.folder import read_folder
from ecenet.inference.weights import CLASS_TENSORS, save_model
from ecenet.training.config import DataConfig, ModelConfig, StartConfig, TrainConfig
from ecenet.training.settings import recipe_settings
from ecenet.training.setup import new_model
from tests.support.helpers import small_model, write_classes, write_folder
from tests.support.refusals import refused


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """From weights for sky, grass and cat."""
    save_model(small_model(seed=5), tmp_path / "weights")
    return TrainConfig(
        DataConfig(write_folder(tmp_path / "data", splits=("train",), images=1)),
        out=tmp_path / "run",
        start=StartConfig(start_from=str(tmp_path / "weights")),
        model=ModelConfig(embed_dim=16, taper=False),
    )


def test_with_the_same_classes_every_tensor_is_taken(config: TrainConfig) -> None:
    model = new_model(config, read_folder(config.data.folder, "train"))
    expected = small_model(seed=5).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert recipe_settings(config)["start_from"] == "weights", "no path of one machine"


def test_with_other_classes_all_but_theirs_is_taken(config: TrainConfig) -> None:
    write_classes(config.data.folder, names=["sky", "grass", "cat", "dog"])
    model = new_model(config, read_folder(config.data.folder, "train"))
    expected = small_model(seed=5).state_dict()
    assert model.num_classes == 4
    others = {name: value for name, value in model.state_dict().items() if name not in CLASS_TENSORS}
    assert len(others) == len(model.state_dict()) - 3
    assert all(torch.equal(value, expected[name]) for name, value in others.items())


def test_another_architecture_is_refused(config: TrainConfig) -> None:
    changed = replace(config, model=ModelConfig())
    with refused("tensor-mismatch"):
        new_model(changed, read_folder(config.data.folder, "train"))
