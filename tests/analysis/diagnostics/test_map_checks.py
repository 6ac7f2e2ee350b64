"""Leakage and robustness of maps, by hand-made probabilities and photos."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ecenet.analysis.diagnostics.faithfulness import rank_correlation, with_random_head
from ecenet.analysis.diagnostics.map_checks import (
    NOISY_PHOTOS,
    Leakage,
    MapChecks,
    check_map,
    cover,
    highest_cells,
    mean_change,
    with_noise,
)
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from tests.support.helpers import noise_image, small_model, small_release, small_segvit
from tests.support.refusals import refused


def test_the_highest_cells_are_so_many_and_of_equal_ones_the_first() -> None:
    similarity = np.array([[0.1, 0.9, 0.5], [0.5, -1.0, 0.5]])
    assert highest_cells(similarity, count=1).tolist() == [[False, True, False], [False, False, False]]
    assert highest_cells(similarity, count=3).tolist() == [[False, True, True], [True, False, False]]
    assert highest_cells(similarity, count=6).all()


def test_covered_pixels_have_the_photo_s_mean_colour_and_no_others() -> None:
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    pixels[0, 0] = (200, 100, 40)
    covered = np.asarray(cover(Image.fromarray(pixels), np.array([[True, False], [False, True]])))
    assert covered[0, 0].tolist() == covered[1, 1].tolist() == [50, 25, 10]
    assert covered[0, 1].tolist() == covered[1, 0].tolist() == [0, 0, 0]


def test_noise_is_as_large_as_it_says_and_the_same_for_the_same_seed() -> None:
    grey = Image.fromarray(np.full((100, 100, 3), 128, dtype=np.uint8))
    noisy = np.asarray(with_noise(grey, seed=0, deviation=8)).astype(float)
    assert noisy.std() == pytest.approx(8, abs=0.2)
    assert noisy.mean() == pytest.approx(128, abs=0.2)
    assert np.array_equal(noisy, np.asarray(with_noise(grey, seed=0, deviation=8)))
    assert not np.array_equal(noisy, np.asarray(with_noise(grey, seed=1, deviation=8)))


def test_a_change_is_the_mean_total_variation_over_the_pixels_that_count() -> None:
    before = torch.tensor([[[1.0, 0.8]], [[0.0, 0.2]], [[0.0, 0.0]]])  # three classes, two cells
    after = torch.tensor([[[0.0, 0.5]], [[0.4, 0.2]], [[0.6, 0.3]]])
    left, right, both, none = (np.zeros((4, 8), dtype=bool) for _ in range(4))
    left[:, :4], right[:, 4:], both[:] = True, True, True
    assert mean_change(before, after, where=left) == pytest.approx(1.0)
    assert mean_change(before, after, where=right) == pytest.approx(0.3)
    assert mean_change(before, after, where=both) == pytest.approx(0.65)
    three_quarters = left.copy()
    three_quarters[:, 4:6] = True  # all of the left cell, half of the right one
    assert mean_change(before, after, where=three_quarters) == pytest.approx((1.0 + 0.5 * 0.3) / 1.5)
    assert mean_change(before, before, where=both) == 0
    assert np.isnan(mean_change(before, after, where=none))


def checks(**values: float) -> MapChecks:
    numbers = {"outside": 0.1, "untrained": 0.2, "robustness": 0.9, "untrained_robustness": 0.8} | values
    return MapChecks(
        Leakage(numbers["outside"], 0.5),
        Leakage(numbers["untrained"], 0.5),
        numbers["robustness"],
        numbers["untrained_robustness"],
    )


def test_each_number_is_held_to_the_untrained_heads() -> None:
    assert (checks().leaks_less, checks().is_robust) == (True, True)
    assert not checks(outside=0.2).leaks_less, "as much is not less"
    assert checks(robustness=0.8).is_robust
    assert not checks(robustness=0.7).is_robust
    nothing = checks(outside=float("nan"), robustness=float("nan"))
    assert not nothing.leaks_less
    assert not nothing.is_robust


def test_an_untrained_head_is_as_good_as_itself() -> None:
    """Of a model that is itself a head of that seed, both maps are one and the same."""
    own = Predictor(with_random_head(small_model(seed=5), seed=3), device="cpu", half=False)
    prediction = own.predict(noise_image(97, 61))
    k = prediction.final.present()[-1]
    found = check_map(own, prediction, stage="stage3", class_index=k, heads=[3])
    assert str(found.leakage) == str(found.untrained_leakage)
    assert found.robustness == pytest.approx(found.untrained_robustness)
    assert not found.leaks_less


@pytest.mark.parametrize("make", [small_model, small_release, small_segvit])
def test_numbers_are_in_their_ranges_and_the_same_again(make: type) -> None:
    predictor = Predictor(make(), device="cpu", half=False)
    prediction = predictor.predict(noise_image(97, 61))
    k = prediction.final.present()[0]
    found = check_map(predictor, prediction, stage="stage1", class_index=k, heads=[0])
    for number in (found.leakage.inside, found.untrained_leakage.inside):
        assert 0 <= number <= 1
    assert -1 <= found.robustness <= 1
    # As text, in which nothing is like nothing.
    assert str(found) == str(check_map(predictor, prediction, stage="stage1", class_index=k, heads=[0]))


def test_robustness_is_the_mean_correlation_with_maps_of_noisy_photos(
    predictor: Predictor, prediction: Prediction
) -> None:
    k = prediction.final.present()[0]
    found = check_map(predictor, prediction, stage="stage2", class_index=k, heads=[0])
    size = prediction.features.working_size
    correlations = []
    for seed in range(NOISY_PHOTOS):
        features = predictor.extract_features(with_noise(prediction.image, seed=seed), working_size=size)
        noisy = predictor.predict_features(features).stages["stage2"].mask_logits[k]
        correlations.append(rank_correlation(prediction.stages["stage2"].mask_logits[k], noisy))
    assert found.robustness == pytest.approx(np.mean(correlations), abs=1e-4)


def test_what_cannot_be_checked_is_refused(predictor: Predictor, prediction: Prediction) -> None:
    with refused("unknown-choice", "stage9"):
        check_map(predictor, prediction, stage="stage9", class_index=0)
    with refused("not-enough-data", "head"):
        check_map(predictor, prediction, stage="ece", class_index=prediction.final.present()[0], heads=[])
    grass = replace(prediction.final, label_map=np.ones_like(prediction.label_map))
    with refused("not-enough-data", "sky"):
        check_map(
            predictor,
            replace(prediction, stages=prediction.stages | {"final": grass}),
            stage="ece",
            class_index=0,
        )
