"""Answers that count as unsure, in whole percent as people read them."""

from dataclasses import replace

import numpy as np
import pytest

from ecenet.app.widgets.pixel_planes import TOP, stage_planes
from ecenet.inference.predictor import Predictor
from ecenet.inference.unsure import counts_as_unsure, unsure_share
from tests.support.helpers import noise_image, small_model
from tests.support.predictions import make_prediction


def test_what_is_read_as_the_threshold_is_not_below_it() -> None:
    confidence = np.array([0.0, 0.42, 0.4249, 0.426, 0.43, 1.0])
    assert counts_as_unsure(confidence, below=0.43).tolist() == [True, True, True, False, False, False]
    assert counts_as_unsure(confidence, below=0.58).tolist() == [True, True, True, True, True, False]
    assert not counts_as_unsure(confidence, below=0).any()
    assert not counts_as_unsure(confidence, below=None).any()


def test_the_share_is_of_the_final_mask() -> None:
    prediction = make_prediction(np.zeros((2, 4), dtype=np.uint8))
    prediction.final.confidence[0, :3] = 0.3
    assert unsure_share(prediction) == 0, "nobody has chosen a threshold"
    assert unsure_share(replace(prediction, unsure_below=0.5)) == pytest.approx(3 / 8)
    assert unsure_share(replace(prediction, unsure_below=0.9)) == 1


def test_a_browser_finds_the_same_pixels_and_no_result_changes() -> None:
    model = small_model()
    plain = Predictor(model, device="cpu", half=False).predict(noise_image(97, 61))
    below = round(float(np.median(plain.confidence)), 2)
    model.unsure_below = below
    prediction = Predictor(model, device="cpu", half=False).predict(noise_image(97, 61))
    assert prediction.unsure_below == below
    assert np.array_equal(prediction.confidence, plain.confidence)
    assert np.array_equal(prediction.label_map, plain.label_map)
    in_browser = stage_planes(prediction.final)[TOP] < 100 * below
    assert 0.2 < in_browser.mean() < 0.8
    told = counts_as_unsure(prediction.confidence, below=below)
    assert (in_browser != told).mean() < 0.01, "all but what float16 rounds to another percent"
