"""Masks changed by hand, against numbers worked out on paper."""

from typing import Any

import numpy as np
import pytest

from ecenet.analysis.interventions.mask_edits import StageMask, edit_mask, stage_mask
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.model.edits import HeadEdits
from tests.support.helpers import PLAIN, noise_image, small_model
from tests.support.predictions import make_prediction
from tests.support.refusals import refused

STAGES = ["ece", "stage4", "stage3", "stage2", "stage1"]


@pytest.fixture
def mask() -> StageMask:
    """Three classes on two cells, each of 4×4 pixels."""
    probabilities = np.array([[[0.7, 0.2]], [[0.2, 0.5]], [[0.1, 0.3]]], dtype=np.float32)
    return StageMask("stage2", size=(8, 4), class_names=("sky", "dog", "cat"), probabilities=probabilities)


def left_half_of_left_cell() -> np.ndarray:
    region = np.zeros((4, 8), dtype=bool)
    region[:, :2] = True
    return region


LEFT = np.repeat([[True] * 4 + [False] * 4], 4, axis=0)


def test_painting_gives_a_class_the_cells_probability_as_far_as_it_is_covered(mask: StageMask) -> None:
    changed = mask.painted(LEFT, class_index=2, certainty=0.9).probabilities
    np.testing.assert_allclose(changed[:, 0, 0], [0.07, 0.02, 0.91], rtol=1e-6)
    np.testing.assert_allclose(changed[:, 0, 1], [0.2, 0.5, 0.3], rtol=1e-6)

    both = LEFT | ~LEFT
    both[:, 6:] = False  # the right cell is covered to a half
    changed = mask.painted(both, class_index=2, certainty=0.9).probabilities
    np.testing.assert_allclose(changed[:, 0, 1], [0.55 * 0.2, 0.55 * 0.5, 0.55 * 0.3 + 0.45], rtol=1e-6)


def test_erasing_gives_a_classs_probability_to_the_runner_up(mask: StageMask) -> None:
    changed = mask.erased(LEFT, class_index=0, certainty=0.9).probabilities
    np.testing.assert_allclose(changed[:, 0, 0], [0.07, 0.83, 0.1], rtol=1e-6)
    np.testing.assert_allclose(changed[:, 0, 1], [0.2, 0.5, 0.3], rtol=1e-6)
    everywhere = np.ones((4, 8), dtype=bool)
    changed = mask.erased(everywhere, class_index=2, certainty=1.0).probabilities
    np.testing.assert_allclose(changed[:, 0], [[0.8, 0.2], [0.2, 0.8], [0.0, 0.0]], rtol=1e-6)


def test_swapping_exchanges_two_classes(mask: StageMask) -> None:
    changed = mask.swapped(0, 2).probabilities
    np.testing.assert_array_equal(changed, mask.probabilities[[2, 1, 0]])
    np.testing.assert_array_equal(mask.swapped(0, 2).swapped(0, 2).probabilities, mask.probabilities)
    np.testing.assert_array_equal(mask.swapped(1, 1).probabilities, mask.probabilities)


def test_the_truth_takes_the_predictions_place_where_it_is_labelled(mask: StageMask) -> None:
    truth = np.full((4, 8), 255, dtype=np.uint8)
    truth[:, :4] = 1
    truth[:, 3] = 2
    truth[:, 4:6] = 0  # the right cell is labelled to a half
    changed = mask.replaced(truth, certainty=0.9).probabilities
    np.testing.assert_allclose(changed[:, 0, 0], [0.07, 0.02 + 0.675, 0.01 + 0.225], rtol=1e-6)
    np.testing.assert_allclose(changed[:, 0, 1], [0.55 * 0.2 + 0.45, 0.55 * 0.5, 0.55 * 0.3], rtol=1e-6)
    nothing = mask.replaced(np.full((4, 8), 255, dtype=np.uint8)).probabilities
    np.testing.assert_allclose(nothing, mask.probabilities, rtol=1e-6)


def test_every_action_is_the_edit_of_that_name(mask: StageMask) -> None:
    labels = np.full((4, 8), 1, dtype=np.uint8)
    for edited, expected in (
        (edit_mask(mask, "paint", class_index=2, region=LEFT), mask.painted(LEFT, class_index=2)),
        (edit_mask(mask, "erase", class_index=0, region=LEFT), mask.erased(LEFT, class_index=0)),
        (edit_mask(mask, "swap", class_index=0, other=2), mask.swapped(0, 2)),
        (edit_mask(mask, "replace", label_map=labels), mask.replaced(labels)),
    ):
        np.testing.assert_array_equal(edited.probabilities, expected.probabilities)
        assert not np.array_equal(edited.probabilities, mask.probabilities)


def test_without_a_region_a_class_is_erased_all_over_the_photo(mask: StageMask) -> None:
    changed = edit_mask(mask, "erase", class_index=2).probabilities
    np.testing.assert_allclose(changed[:, 0], [[0.7 + 0.099, 0.2], [0.2, 0.5 + 0.297], [0.001, 0.003]], rtol=1e-5)
    with refused("empty-region"):
        edit_mask(mask, "erase", class_index=2, region=np.zeros((4, 8), dtype=bool))


def test_what_an_action_has_no_use_for_is_left_aside(mask: StageMask) -> None:
    labels = np.zeros((4, 8), dtype=np.uint8)
    swapped = edit_mask(mask, "swap", class_index=0, other=1, region=LEFT, label_map=labels)
    np.testing.assert_array_equal(swapped.probabilities, mask.swapped(0, 1).probabilities)
    painted = edit_mask(mask, "paint", class_index=0, other=1, region=LEFT, label_map=labels)
    np.testing.assert_array_equal(painted.probabilities, mask.painted(LEFT, class_index=0).probabilities)


@pytest.mark.parametrize(
    ("action", "given", "refusal"),
    [
        ("paint", {"class_index": 0}, ("missing-value", "painted region", "paint")),
        ("paint", {"region": LEFT}, ("missing-value", "class_name", "paint")),
        ("erase", {"region": LEFT}, ("missing-value", "class_name", "erase")),
        ("swap", {"other": 0}, ("missing-value", "class_name", "swap")),
        ("swap", {"class_index": 0}, ("missing-value", "other", "swap")),
        ("replace", {"class_index": 0}, ("missing-value", "label_map", "replace")),
        ("truth", {}, ("unknown-choice", "paint, erase, swap, replace", "'truth'")),
    ],
)
def test_an_action_without_what_it_needs_is_refused(
    mask: StageMask, action: Any, given: dict[str, Any], refusal: tuple[Any, ...]
) -> None:
    with refused(*refusal):
        edit_mask(mask, action, **given)


def test_edits_follow_each_other_and_leave_the_mask_that_they_change(mask: StageMask) -> None:
    before = mask.probabilities.copy()
    changed = mask.painted(LEFT, class_index=2).erased(~LEFT, class_index=1).swapped(0, 1)
    assert changed.probabilities.argmax(axis=0).tolist() == [[2, 2]]
    np.testing.assert_allclose(changed.probabilities.sum(axis=0), 1, rtol=1e-6)
    np.testing.assert_array_equal(mask.probabilities, before)


def test_a_region_smaller_than_a_cell_is_enlarged_and_the_mask_says_so(mask: StageMask) -> None:
    region = np.zeros((4, 8), dtype=bool)
    region[1, 1] = True
    changed = mask.painted(region, class_index=2)
    assert changed.enlarged
    np.testing.assert_allclose(changed.probabilities[2], [[0.991, 0.3]], rtol=1e-6)
    assert changed.swapped(0, 1).enlarged, "it stays known"
    assert mask.erased(left_half_of_left_cell(), class_index=0).enlarged
    assert not mask.painted(LEFT, class_index=2).enlarged


@pytest.mark.parametrize("stage", STAGES)
def test_a_mask_that_is_not_changed_changes_nothing(predictor: Predictor, prediction: Prediction, stage: str) -> None:
    mask = stage_mask(prediction, stage)
    again = predictor.predict_features(prediction.features, HeadEdits(stages={stage: mask.edits}))
    for name, one in prediction.stages.items():
        other = again.stages[name]
        assert np.array_equal(one.label_map, other.label_map)
        np.testing.assert_allclose(other.confidence, one.confidence, atol=1e-3)
        np.testing.assert_allclose(other.embeddings, one.embeddings, atol=1e-5)
        if name != stage:
            np.testing.assert_allclose(other.similarity, one.similarity, atol=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_painted_at_a_stage_is_seen_there_and_after_it(
    predictor: Predictor, prediction: Prediction, stage: str
) -> None:
    region = np.zeros((61, 97), dtype=bool)
    region[:, :60] = True
    mask = stage_mask(prediction, stage).painted(region, class_index=1)
    again = predictor.predict_features(prediction.features, HeadEdits(stages={stage: mask.edits}))
    assert (again.stages[stage].label_map[:, :45] == 1).all()
    assert not np.array_equal(again.stages[stage].embeddings, prediction.stages[stage].embeddings)
    earlier = STAGES[: STAGES.index(stage)]
    for name in earlier:
        assert np.array_equal(again.stages[name].mask_logits, prediction.stages[name].mask_logits)
    assert not np.array_equal(again.final.mask_logits, prediction.final.mask_logits)


def test_swapping_two_coarse_masks_swaps_everything_behind_them() -> None:
    predictor = Predictor(small_model(config=PLAIN), device="cpu", half=False)
    prediction = predictor.predict(noise_image(64, 64))
    swapped = stage_mask(prediction, "ece").swapped(0, 2)
    again = predictor.predict_features(prediction.features, HeadEdits(stages={"ece": swapped.edits}))
    for name, stage in prediction.stages.items():
        np.testing.assert_allclose(again.stages[name].embeddings[[2, 1, 0]], stage.embeddings, atol=1e-4)
        if name != "ece":
            np.testing.assert_allclose(again.stages[name].similarity[[2, 1, 0]], stage.similarity, atol=1e-4)


def test_a_stages_mask_is_the_softmax_of_its_logits() -> None:
    mask = stage_mask(make_prediction(np.array([[0, 1, 2]], dtype=np.uint8)), "stage3")
    surest = np.exp(5) / (np.exp(5) + 2 * np.exp(-5))
    np.testing.assert_allclose(mask.probabilities[:, 0].diagonal(), surest, rtol=1e-6)
    assert (mask.stage, mask.size, mask.class_names) == ("stage3", (3, 1), ("background", "dog", "cat"))


def test_what_no_mask_can_become_is_refused(predictor: Predictor, prediction: Prediction, mask: StageMask) -> None:
    for stage in ("final", "stage9"):
        with refused("unknown-choice", "ece, stage4, stage3, stage2, stage1", repr(stage)):
            stage_mask(prediction, stage)
    with refused("size-mismatch", "region", "8×4", "4×8", expected=(8, 4), got=(4, 8)):
        mask.painted(np.ones((8, 4), dtype=bool), class_index=0)
    with refused("size-mismatch", "label map", "8×4", "4×8", expected=(8, 4), got=(4, 8)):
        mask.replaced(np.zeros((8, 4), dtype=np.uint8))
    with refused("empty-region"):
        mask.erased(~(LEFT | ~LEFT), class_index=0)
    for change in (
        lambda: mask.painted(LEFT, class_index=3),
        lambda: mask.erased(LEFT, class_index=3),
        lambda: mask.swapped(0, 3),
        lambda: mask.replaced(np.full((4, 8), 3, dtype=np.uint8)),
    ):
        with refused("unknown-choice", "0 … 2", "sky … cat", 3):
            change()
    with refused("out-of-range", "certainty", "0 … 1", 1.5):
        mask.painted(LEFT, class_index=0, certainty=1.5)


def test_a_mask_of_another_photos_size_is_refused(predictor: Predictor, prediction: Prediction) -> None:
    tall = predictor.predict(noise_image(61, 97))
    mask = stage_mask(tall, "stage2")
    with refused("size-mismatch", "1×3×6×8", "1×3×8×6", got=(1, 3, 8, 6)):
        predictor.predict_features(prediction.features, HeadEdits(stages={"stage2": mask.edits}))
