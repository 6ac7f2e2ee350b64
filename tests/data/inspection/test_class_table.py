"""What masks hold is told before the first step, and what is probably a mistake in them is named."""

from pathlib import Path

import numpy as np
import pytest

from ecenet.data.inspection.class_table import class_table, label_doubts, read_doubts
from ecenet.training.config import DataConfig
from ecenet.training.setup import read_splits
from tests.support.helpers import write_classes, write_folder, write_pair
from tests.support.refusals import assert_names, refused

NAMES = ["sky", "grass", "cat"]


def counts(*photos: list[int]) -> np.ndarray:
    return np.array(photos, dtype=np.int64)


def test_the_table_has_photos_and_shares_of_each_class() -> None:
    train, val = counts([60, 20, 0, 20], [100, 0, 0, 0]), counts([0, 0, 50, 50])
    rows = [line.split() for line in class_table(NAMES, {"train": train, "val": val}).splitlines()]
    assert rows == [
        ["class", "train", "photos", "share", "val", "photos", "share"],
        ["sky", "2", "80.0", "%", "0", "0.0", "%"],
        ["grass", "1", "10.0", "%", "0", "0.0", "%"],
        ["cat", "0", "0.0", "%", "1", "50.0", "%"],
        ["ignored", "(255)", "1", "10.0", "%", "1", "50.0", "%"],
    ]


def test_of_many_classes_the_table_lists_those_that_a_split_lacks() -> None:
    names = [f"class{index}" for index in range(60)]
    pixels = np.ones((1, 61), np.int64)
    pixels[0, 7] = 0
    lines = class_table(names, {"train": pixels}).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["class7", "ignored"]


def test_what_is_probably_a_mistake_is_said() -> None:
    assert label_doubts(NAMES, np.array([5, 5, 5]), ignored=15, split="train") == []
    (lacking,) = label_doubts(NAMES, np.array([5, 0, 5]), ignored=0, split="train")
    assert_names(lacking, 1, "grass", "train")
    (mostly,) = label_doubts(NAMES, np.array([5, 5, 5]), ignored=16, split="val")
    assert_names(mostly, "52%", "val", 255)
    (nothing,) = label_doubts(NAMES, np.zeros(3, int), ignored=9, split="val")
    assert_names(nothing, "val", 255)


def test_a_class_of_the_validation_alone_is_named() -> None:
    doubts = read_doubts(NAMES, counts([5, 5, 0, 0]), counts([5, 5, 5, 0]))
    assert any("Only the validation masks" in doubt and "cat" in doubt for doubt in doubts)


@pytest.mark.parametrize(("pixels", "offered"), [([90, 30, 0], True), ([90, 0, 30], False), ([0, 90, 30], False)])
def test_masks_of_0_1_and_255_are_recognised(pixels: list[int], offered: bool) -> None:
    doubts = label_doubts(NAMES, np.array(pixels), ignored=20, split="train")
    assert any("ecenet data prepare" in doubt and "'cat'" in doubt for doubt in doubts) == offered


def write_two_valued(root: Path, foreground: int) -> Path:
    write_classes(root, names=["background", "vessel"])
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20] = foreground
    for split in ("train", "val"):
        write_pair(root, split, "a", mask)
    return root


def test_masks_of_0_and_255_are_refused_with_the_command_that_mends_them(tmp_path: Path) -> None:
    root = write_two_valued(tmp_path / "eyes", 255)
    with refused("not-enough-data", "'background'", "'vessel'", "15.6%", f"data prepare {root} --out {root}-prepared"):
        read_splits(DataConfig(root))
    assert len(read_splits(DataConfig(write_two_valued(tmp_path / "good", 1))).train) == 1


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    with refused("not-enough-data", "'background'", "second class"):
        read_splits(DataConfig(write_two_valued(tmp_path, 0)))


def test_a_training_says_what_its_masks_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folder(tmp_path, images=2)
    write_classes(root, names=["sky", "grass", "cat", "dog"])
    read_splits(DataConfig(root))
    printed = capsys.readouterr().out
    assert_names(printed, "sky", "train photos", "val photos")
    assert "Note: 1 class has no pixels in the masks of train: dog." in printed
