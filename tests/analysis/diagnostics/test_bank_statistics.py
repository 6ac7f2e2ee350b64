"""A bank's summary: confusions, spreads, rivals and worst images, by hand."""

from pathlib import Path

import numpy as np
import pytest

from ecenet.analysis.diagnostics.bank_statistics import (
    cell_images,
    class_spreads,
    stage_confusion,
    stage_mious,
    worst_images,
)
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.bank import EmbeddingBank, embed_split
from ecenet.evaluation.evaluate import evaluate
from ecenet.inference.predictor import Predictor
from tests.support.helpers import small_model, write_folder


def bank_of(rows: list[tuple[int, int, float, list[int], float, list[float]]]) -> EmbeddingBank:
    """Rows of (image, class, area, truth, iou, embedding), all at one stage."""
    image, class_index, area, truth, iou, embedding = zip(*rows, strict=True)
    return EmbeddingBank(
        image=np.array(image),
        stage=np.array(["stage1"] * len(rows)),
        class_index=np.array(class_index),
        area=np.array(area),
        confidence=np.full(len(rows), 0.5),
        truth=np.array(truth),
        iou=np.array(iou),
        embedding=np.array(embedding, dtype=np.float32),
        images=["a", "b"],
        about={"class_names": ["x", "y", "z"]},
    )


BANK = bank_of(
    [
        (0, 0, 0.6, [6, 0, 0], 0.75, [1, 0]),
        (0, 1, 0.4, [2, 2, 0], 0.5, [0, 1]),
        (1, 0, 0.5, [5, 1, 0], 0.5, [3, 0]),
        (1, 1, 0.5, [4, 0, 0], 0.0, [2, 1]),
    ]
)


def test_the_confusion_adds_up_over_the_images() -> None:
    assert stage_confusion(BANK, "stage1").tolist() == [[11, 6, 0], [1, 2, 0], [0, 0, 0]]


def test_cells_open_the_images_behind_them() -> None:
    assert cell_images(BANK, "stage1", truth=0, predicted=1, count=9) == [(1, 4), (0, 2)]
    assert cell_images(BANK, "stage1", truth=0, predicted=1, count=1) == [(1, 4)]
    assert cell_images(BANK, "stage1", truth=2, predicted=1, count=9) == []


def test_the_worst_image_comes_first() -> None:
    assert worst_images(BANK, "stage1", count=5) == [(1, 0.25), (0, 0.625)]


def test_spread_rival_and_margin_by_hand() -> None:
    x, y = class_spreads(BANK, "stage1", min_area=0.0)
    assert (x.class_index, x.count, x.rival) == (0, 2, 1)
    assert x.spread == pytest.approx(0, abs=1e-6), "both point the same way, however long they are"
    # Class 1: (0, 1) and (2, 1)/√5; their centroid is halfway between.
    angle = np.arctan2(1, 2)
    half = (np.pi / 2 - angle) / 2
    assert y.spread == pytest.approx(1 - np.cos(half), abs=1e-6)
    to_x = np.array([1.0, 1 - np.cos(angle)])
    assert y.margin == pytest.approx(np.median(to_x - (1 - np.cos(half))), abs=1e-6)
    assert x.margin == pytest.approx(1 - np.cos(angle + half), abs=1e-6)
    assert y.astray == 0.5, "(2, 1) lies nearer to the other class"
    assert class_spreads(BANK, "stage1", min_area=0.99) == []
    alone = class_spreads(bank_of([(0, 1, 0.5, [0, 1, 0], 1.0, [1, 1])]), "stage1", min_area=0)[0]
    assert (alone.rival, alone.astray) == (None, 0.0)
    assert np.isnan(alone.margin)


def test_the_mious_are_the_evaluations(tmp_path: Path) -> None:
    data = read_folder(write_folder(tmp_path, splits=("val",), images=3), "val")
    predictor = Predictor(small_model())
    bank, result = embed_split(predictor, data), evaluate(predictor, data)
    assert bank.stages == ["ece", "stage4", "stage3", "stage2", "stage1"]
    assert stage_mious(bank) == pytest.approx({name: result.stages[name] for name in bank.stages})
