"""A second round of labels: unlabelled regions get the predictor's classes, and nothing else changes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.__main__ import main
from ecenet.common.errors import UserError
from ecenet.data.layouts.folder import read_folder
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.relabel import relabel, unlabelled_regions
from ecenet.evaluation.tta import averaged_probabilities
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.helpers import CLASS_NAMES, small_model, write_classes, write_pair

SIDE = 64


@pytest.fixture
def data(tmp_path: Path) -> LabelledSplit:
    """One photo: left half sky, then a line of two unlabelled pixels, the rest unlabelled but for a piece of grass."""
    root = tmp_path / "data"
    write_classes(root)
    mask = np.full((SIDE, SIDE), 255, dtype=np.uint8)
    mask[:, :30] = 0
    mask[:, 32:36] = 1
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    for split in ("train", "val"):
        write_pair(root, split, "photo", mask, image=Image.fromarray(pixels))
    return read_folder(root, "train")


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(small_model())


def read_mask(folder: Path, split: str = "train") -> np.ndarray:
    return np.asarray(Image.open(folder / "masks" / split / "photo.png"))


def test_lines_are_no_regions() -> None:
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[:, 2:8] = 255
    mask[10:17, 10:17] = 255
    expected = np.zeros((20, 20), dtype=bool)
    expected[10:17, 10:17] = True
    assert np.array_equal(unlabelled_regions(mask), expected)


def test_regions_get_the_most_probable_of_the_chosen_classes(
    tmp_path: Path, data: LabelledSplit, predictor: Predictor
) -> None:
    done = relabel(predictor, data, tmp_path / "out", classes=["grass", "cat"], min_probability=0)
    before, after = data.load_mask(0), read_mask(tmp_path / "out")
    probabilities = averaged_probabilities(predictor, data.images[0], flip=True)["final"].cpu().numpy()
    region = np.zeros((SIDE, SIDE), dtype=bool)
    region[:, 36:] = True
    assert np.array_equal(after[region], 1 + probabilities[1:].argmax(axis=0)[region])
    assert np.array_equal(after[~region], before[~region]), "labels and lines stay"
    assert (done.masks, done.filled) == (1, pytest.approx(28 / SIDE))
    assert done.unlabelled == pytest.approx(2 / SIDE)


def test_what_is_not_sure_enough_stays_unlabelled(tmp_path: Path, data: LabelledSplit, predictor: Predictor) -> None:
    relabel(predictor, data, tmp_path / "out", min_probability=1.01)
    assert np.array_equal(read_mask(tmp_path / "out"), data.load_mask(0))


def test_the_result_is_data_to_train_on(tmp_path: Path, data: LabelledSplit, predictor: Predictor) -> None:
    out = tmp_path / "out"
    relabel(predictor, data, out, files="other*")
    for split in ("train", "val"):
        copied = read_folder(out, split)
        assert copied.labels.class_names == CLASS_NAMES
        assert np.array_equal(copied.load_mask(0), data.load_mask(0)), "no file has such a name"
        assert np.array_equal(np.asarray(copied.load(0)[0]), np.asarray(data.load(0)[0]))


def test_an_interrupted_one_continues(tmp_path: Path, data: LabelledSplit, predictor: Predictor) -> None:
    out = tmp_path / "out"
    relabel(predictor, data, out, min_probability=0)
    kept = np.where(read_mask(out) == 2, 1, read_mask(out)).astype(np.uint8)
    Image.fromarray(kept).save(out / "masks/train/photo.png")
    done = relabel(predictor, data, out, min_probability=0)
    assert np.array_equal(read_mask(out), kept), "what was written before stays"
    assert done.filled == pytest.approx(28 / SIDE)


def test_refusals(tmp_path: Path, data: LabelledSplit, predictor: Predictor) -> None:
    with pytest.raises(UserError) as refused:
        relabel(predictor, data, tmp_path / "out", classes=["zebra"])
    assert refused.value.code == "unknown-choice"
    with pytest.raises(UserError) as refused:
        relabel(predictor, data, data.root)
    assert refused.value.code == "invalid-value"
    with pytest.raises(UserError) as refused:
        relabel(Predictor(small_model(class_names=["a", "b", "c"])), data, tmp_path / "out")
    assert refused.value.code == "wrong-classes"


def test_command(tmp_path: Path, data: LabelledSplit, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(small_model(), tmp_path / "weights")
    weights, out = str(tmp_path / "weights"), str(tmp_path / "out")
    words = ["relabel", "--data", str(data.root), "--weights", weights, "--out", out, "--min-probability", "0"]
    assert main(words) == 0
    assert "43.8%" in capsys.readouterr().out
