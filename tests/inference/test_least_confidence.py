"""Predictions without what the network is not sure enough of."""

import numpy as np
import pytest

from ecenet.inference.export import prediction_summary
from ecenet.inference.least_confidence import above_confidence
from ecenet.inference.overlay import indexed_mask, overlay
from tests.support.predictions import CLASS_COLORS, CLASS_NAMES, make_prediction
from tests.support.refusals import refused

LABELS = np.array([[0, 1], [2, 2]], dtype=np.uint8)


def test_pixels_below_have_no_class_and_leave_areas_and_means() -> None:
    prediction = make_prediction(LABELS)
    prediction.final.confidence[:] = [[0.9, 0.4], [0.5, 0.75]]
    sure = above_confidence(prediction, 0.5)
    assert sure.label_map.tolist() == [[0, 255], [2, 2]]
    assert sure.final.area.tolist() == [0.25, 0.0, 0.5]
    assert sure.final.mean_confidence[[0, 2]].tolist() == pytest.approx([0.9, 0.625], abs=1e-3)
    assert prediction.label_map.tolist() == LABELS.tolist(), "the prediction itself stays"
    summary = prediction_summary(prediction, shown=sure.final)
    assert [one["class"] for one in summary["classes"]] == [CLASS_NAMES[2], CLASS_NAMES[0]]
    assert summary["sure_area"] == 0.75
    assert summary["agreement_with_final"]["final"] == 1.0
    assert above_confidence(prediction, 0) is prediction


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan"), "much", None, True])
def test_other_than_a_share_is_refused(least: object) -> None:
    with refused("out-of-range", "0", "1"):
        above_confidence(make_prediction(LABELS), least)  # type: ignore[arg-type]


def test_no_class_is_grey_in_the_mask_and_a_faded_photo_in_the_overlay() -> None:
    photo = make_prediction(LABELS).image
    labels = np.array([[0, 255], [2, 2]], dtype=np.uint8)
    mask = indexed_mask(labels, CLASS_COLORS)
    assert np.asarray(mask).tolist() == labels.tolist()
    assert mask.convert("RGB").getpixel((1, 0)) == (128, 128, 128)
    whole = overlay(photo, LABELS, CLASS_COLORS, opacity=1.0)
    shown = overlay(photo, labels, CLASS_COLORS, opacity=1.0)
    assert shown.getpixel((0, 0)) == whole.getpixel((0, 0))
    red, green, blue = shown.getpixel((1, 0))  # type: ignore[misc]
    assert red == green == blue
