"""Data sets that Hugging Face's library has saved; nothing here asks the network."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.check import check
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.write import prepare
from tests.support.helpers import noise_image
from tests.support.refusals import assert_names, refused

datasets = pytest.importorskip("datasets")
MASK = np.repeat(np.array([0, 1], np.uint8), 8)[:, None] * np.ones(16, np.uint8)


def saved(folder: Path, *, mask: str = "label") -> Path:
    """Three photos to train, two to validate."""
    features = datasets.Features({"image": datasets.Image(), mask: datasets.Image(), "name": datasets.Value("string")})
    splits = {}
    for split, count in (("train", 3), ("validation", 2)):
        rows = {
            "image": [noise_image(16, 16, seed=n) for n in range(count)],
            mask: [Image.fromarray(MASK * 255)] * count,
            "name": ["x"] * count,
        }
        splits[split] = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


@pytest.mark.parametrize("mask", ["label", "annotation", "something"])
def test_images_and_masks_are_found_by_their_columns(tmp_path: Path, mask: str) -> None:
    source = Path(f"hf:{saved(tmp_path / 'set', mask=mask)}")
    assert_names(check(source, PrepareOptions()).report(), "5 photos", f"data prepare {source} --out set-prepared")
    done = prepare(source, tmp_path / "out", PrepareOptions())
    assert done.names == ["background", "foreground"]
    train, val = (read_folder(tmp_path / "out", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (3, 2)
    assert np.array_equal(train.load(0)[1], MASK)


def test_one_split_can_be_chosen(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set")
    assert "2 photos" in check(Path(f"hf:{folder}:validation"), PrepareOptions()).report()
    with refused("unknown-choice", "train, validation", "'test'"):
        check(Path(f"hf:{folder}:test"), PrepareOptions())


def test_a_set_without_masks_is_refused(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = datasets.Dataset.from_dict({"image": [noise_image(16, 16)], "label": [1]}, features=features)
    rows.save_to_disk(str(tmp_path / "set"))
    with refused("wrong-data", "image (Image)", "label (ClassLabel)"):
        check(Path(f"hf:{tmp_path / 'set'}"), PrepareOptions())


def test_without_the_library_a_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with refused("package-missing", "pip install datasets"):
        check(Path("hf:someone/set"), PrepareOptions())
