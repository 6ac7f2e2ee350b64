"""What the tests of labelled photos have in common: a square of class 1, and both splits as training reads them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.write import Prepared, prepare
from ecenet.data.split import LabelledSplit
from ecenet.training.config import DataConfig
from ecenet.training.setup import read_splits
from tests.support.helpers import noise_image

WIDTH, HEIGHT = 24, 16
SQUARE = np.zeros((HEIGHT, WIDTH), np.uint8)
SQUARE[4:12, 4:12] = 1
"""Class 1 in a square, 0 around it."""
CORNERS = [(4, 4), (12, 4), (12, 12), (4, 12)]
FLAT = [value for corner in CORNERS for value in corner]


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise_image(WIDTH, HEIGHT).save(path)


def save_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def prepared(root: Path, **options: Any) -> tuple[Prepared, LabelledSplit, LabelledSplit]:
    out = root.with_name(root.name + "-out")
    done = prepare(root, out, PrepareOptions(**options))
    read_splits(DataConfig(out))
    return done, read_folder(out, "train"), read_folder(out, "val")


def assert_squares(*splits: LabelledSplit, mask: np.ndarray = SQUARE) -> None:
    for data in splits:
        for index in range(len(data)):
            found = data.load(index)[1]
            assert np.array_equal(found, mask), f"{data.images[index]}\n{found}"
