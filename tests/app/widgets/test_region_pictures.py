"""Small pictures from which a browser draws the region behind a point of the map."""

import base64
import io

import numpy as np
from PIL import Image

from ecenet.app.widgets.region_pictures import SIDE, region_pictures
from tests.support.predictions import STAGES, make_prediction


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))


def test_label_maps_of_all_stages_lie_one_below_the_other_as_class_indices() -> None:
    final = np.array([[0, 1], [2, 2]], np.uint8)
    coarse = np.array([[2, 2], [255, 1]], np.uint8)
    found = region_pictures(make_prediction(final, stages={"ece": coarse}))
    assert found["stages"] == [name for name in STAGES if name != "final"]
    labels = opened(found["labels"])
    assert labels.mode == "L"
    np.testing.assert_array_equal(np.asarray(labels), np.concatenate([coarse, final, final, final, final]))
    assert opened(found["photo"]).size == (2, 2)


def test_large_photos_are_scaled_down_and_classes_are_never_mixed() -> None:
    halves = np.zeros((300, 600), np.uint8)
    halves[:, 300:] = 7
    found = region_pictures(make_prediction(halves))
    assert opened(found["photo"]).size == (SIDE, SIDE // 2)
    labels = np.asarray(opened(found["labels"]))
    assert labels.shape == (5 * SIDE // 2, SIDE)
    assert set(labels[:, : SIDE // 2].ravel()) == {0}
    assert set(labels[:, SIDE // 2 :].ravel()) == {7}
    assert sum(len(found[part]) for part in ("photo", "labels")) < 12_000
