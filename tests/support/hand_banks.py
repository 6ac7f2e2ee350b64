"""Embedding banks small enough to be worked out on paper."""

from typing import Any

import numpy as np

from ecenet.evaluation.bank import EmbeddingBank
from tests.support.predictions import CLASS_NAMES

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
LONG_EAST = [9.0, 0.0]
"""Twice as far as anything, yet the same direction."""
HALF = [0.5, 0.5]


def make_bank(rows: list[tuple[int, str, int, float, float, list[float]]], **about: Any) -> EmbeddingBank:
    """Rows are image, stage, class, area, IoU and embedding; the confidence is the IoU, a perfect warning."""
    image, stage, class_index, area, iou, embedding = zip(*rows, strict=True)
    return EmbeddingBank(
        image=np.array(image),
        stage=np.array(stage),
        class_index=np.array(class_index),
        area=np.array(area, dtype=np.float64),
        confidence=np.array(iou, dtype=np.float64),
        truth=np.zeros((len(rows), 3), dtype=np.int64),
        iou=np.array(iou, dtype=np.float64),
        embedding=np.array(embedding, dtype=np.float32),
        images=[f"{number}" for number in range(max(image) + 1)],
        about={
            "format": 1,
            "class_names": CLASS_NAMES,
            "class_colors": [[0, 0, 0]] * 3,
            "weights_hash": "abc",
            "data": "hand-made",
            "split": "val",
        }
        | about,
    )


def both_stages(rows: list[tuple[int, int, float, float, list[float]]], **about: Any) -> EmbeddingBank:
    """The same rows, without a stage, at `ece` and `stage1`."""
    return make_bank([(row[0], stage, *row[1:]) for stage in ("ece", "stage1") for row in rows], **about)


REFERENCE = [
    (0, 1, 0.5, 0.9, EAST),
    (0, 2, 0.4, 0.8, NORTH),
    (1, 1, 0.5, 0.7, LONG_EAST),
    (1, 2, 0.3, 0.2, EAST),
    (2, 1, 0.001, 0.9, WEST),
]
