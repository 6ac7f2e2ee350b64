"""Labelled photos of any kind become a folder that `train` reads, and stay as they are."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.trainable import trainable_data
from tests.support.helpers import noise_image, write_classes, write_folder, write_pair
from tests.support.refusals import refused


def write_plain(root: Path, *, photos: int = 5) -> Path:
    """Photos with masks of 0 and 255 beside them, without a split."""
    root.mkdir()
    for number in range(photos):
        mask = np.zeros((48, 64), np.uint8)
        mask[10 + number :] = 255
        noise_image(64, 48, seed=number).save(root / f"{number}.jpg")
        Image.fromarray(mask).save(root / f"{number}_mask.png")
    return root


def test_data_that_is_ready_is_read_where_it_lies(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", images=4)
    data = trainable_data(root, store=tmp_path / "store")
    assert (data.folder, data.layout, data.how) == (root, "folder", "")
    assert data.class_names == ["sky", "grass", "cat"]
    assert {split: len(counts) for split, counts in data.checked.counts.items()} == {"train": 4, "val": 4}
    assert not (tmp_path / "store").exists()
    samples = data.samples()
    assert len(samples) == 6
    assert samples[0][0] == "train: 0.png"
    assert samples[-1][0] == "val: 3.png"


def test_other_data_is_prepared_once_and_anew_after_a_change(tmp_path: Path) -> None:
    root = write_plain(tmp_path / "plain")
    before = sorted(root.iterdir())
    data = trainable_data(root, store=tmp_path / "store")
    assert data.class_names == ["background", "foreground"]
    assert data.folder.parent == tmp_path / "store"
    assert sorted(root.iterdir()) == before
    assert len(read_folder(data.folder, "train")) == 4
    assert trainable_data(root, store=tmp_path / "store").folder == data.folder

    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(root / "0_mask.png")
    other = trainable_data(root, store=tmp_path / "store")
    assert other.folder != data.folder, "a mask that was corrected must not be taken from the earlier copy"


def test_a_zip_is_the_folder_in_it(tmp_path: Path) -> None:
    root = write_plain(tmp_path / "plain")
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as packed:
        for path in root.iterdir():
            packed.write(path, f"plain/{path.name}")
    data = trainable_data(tmp_path / "plain.zip", store=tmp_path / "store")
    assert len(read_folder(data.folder, "train")) + len(read_folder(data.folder, "val")) == 5


def test_a_class_that_is_written_as_255_is_found_in_our_own_layout(tmp_path: Path) -> None:
    root = tmp_path / "eyes"
    write_classes(root, names=["background", "vessel"])
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20] = 255
    for split in ("train", "val"):
        write_pair(root, split, "a", mask)
    data = trainable_data(root, store=tmp_path / "store")
    assert data.folder != root
    assert data.class_names == ["background", "vessel"]
    assert data.checked.counts["train"][0, :2].tolist() == [64 * 54, 64 * 10]


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_where_nothing_lies_it_says_what_was_expected(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with refused("data-missing", tmp_path / name):
        trainable_data(tmp_path / name, store=tmp_path / "store")
