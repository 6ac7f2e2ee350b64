"""What cannot be trained on is refused in one sentence, before work is spent on it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecenet.training.config import DataConfig, TrainConfig
from ecenet.training.loop import train
from tests.support.helpers import changed, tiny_training, write_folder, write_pair
from tests.support.refusals import refused


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return tiny_training(write_folder(tmp_path / "tiny", images=2), tmp_path / "run")


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_size": 0},
        {"crop_size": -32},
        {"crop_size": 40},
        {"image_size": 0},
        {"steps": 0},
        {"batch_size": 0},
        {"save_every": 0},
        {"validate_every": 0},
        {"scale": (1.5, 0.5)},
        {"scale": (0.0, 1.0)},
        {"lr": -1e-3},
        {"lr": float("nan")},
        {"backbone_lr": float("inf")},
        {"weight_decay": -1.0},
        {"ema": 1.0},
        {"workers": -1},
        {"seed": -1},
        {"accumulate": 0},
        {"paste": 1.5},
        {"hard_pixels": 0.0},
        {"layer_decay": 0.0},
        {"clip_grad": 0.0},
        {"frozen_stages": 5},
        {"image_std": (0.5, 0.0, 0.5)},
        {"contrast_weight": -1.0},
        {"class_sampling": float("nan")},
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_named_at_once(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with refused("out-of-range", name, wrong[name]):
        train(changed(TrainConfig(DataConfig(tmp_path / "unread"), tmp_path / "run"), **wrong))
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_used_is_found_before_the_first_step(config: TrainConfig, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", images=2)
    changes = changed(config, data=root, out=tmp_path / "run")
    with refused("data-missing", "train, val"):
        train(changed(changes, val_split="test"))
    (root / "masks" / "val" / "1.png").write_bytes(b"")
    with refused("several-problems", "1 of 2", root, "1.png"):
        train(changes)
    assert not changes.out.exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_turns_out_damaged_is_named_in_one_sentence(
    config: TrainConfig, tmp_path: Path, workers: int
) -> None:
    root = write_folder(tmp_path, images=1)
    write_pair(root, "train", "0", np.tri(64, dtype=np.uint8), suffix=".jpg")
    (root / "images" / "train" / "0.png").unlink()
    path = root / "images" / "train" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with refused("file-damaged", "0.jpg") as caught:
        train(changed(config, data=root, out=tmp_path / "run", workers=workers))
    assert "\n" not in str(caught.value)
