"""What the benchmark of the views counts; its times are nobody's test."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ecenet.data.images import RGBImage
from ecenet.inference.prediction import ImageFeatures
from ecenet.studies.benchmarks.views import benchmark_views, held_bytes
from tests.support.predictions import make_prediction


def test_bytes_are_counted_once_wherever_they_hang() -> None:
    array = np.zeros((10, 10), dtype=np.float32)
    assert held_bytes([array, {"again": array}, (array,)]) == 400
    features = ImageFeatures(RGBImage(Image.new("RGB", (5, 4))), (4, 5), [torch.zeros(2, 3, dtype=torch.float16)])
    assert held_bytes(features) == 5 * 4 * 3 + 12
    prediction = make_prediction(np.zeros((2, 2), dtype=np.uint8))
    assert held_bytes([prediction, prediction]) == held_bytes(prediction) > 0


def test_every_view_is_timed(tmp_path: Path) -> None:
    figures = benchmark_views(weights="everyday", rounds=1)
    assert len(figures["milliseconds"]) == 19
    assert all(value > 0 for value in figures["milliseconds"].values())
    assert 1 < figures["session of 20 photos, MB"] < 500
