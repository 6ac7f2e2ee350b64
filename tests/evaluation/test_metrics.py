"""Scores against figures worked out by hand or by another library."""

import numpy as np
import pytest
import sklearn.metrics

from ecenet.evaluation.metrics import (
    boundary_counts,
    boundary_mean_iou,
    confusion_matrix,
    inner_band,
    intersection_over_union,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
)

# Rows: target, columns: predicted. Class 3 neither occurs nor is predicted.
BY_HAND = np.array([[5, 1, 0, 0], [2, 3, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_the_confusion_matrix_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 5, (2, 30, 40)).astype(np.uint8)
    ours = confusion_matrix(target, predicted, num_classes=6)
    theirs = sklearn.metrics.confusion_matrix(target.ravel(), predicted.ravel(), labels=range(6))
    assert ours.dtype == np.int64
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(ours, ours.T), "so that swapped axes would be noticed"


def test_the_confusion_matrix_holds_many_classes_of_small_integers() -> None:
    target = np.array([[200, 3]], np.uint8)
    counted = confusion_matrix(target, np.array([[100, 250]], np.uint8), num_classes=254)
    assert (counted[200, 100], counted[3, 250], counted.sum()) == (1, 1, 2)


def test_ignored_pixels_do_not_count_whatever_is_predicted_there() -> None:
    target = np.array([0, 1, 255, 255, 1], np.uint8)
    predicted = np.array([0, 1, 0, 2, 0], np.uint8)
    assert confusion_matrix(target, predicted, num_classes=3).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert confusion_matrix(np.full(9, 255), np.zeros(9, int), num_classes=3).sum() == 0


def test_iou_by_hand() -> None:
    iou = intersection_over_union(BY_HAND)
    assert iou[:3].tolist() == [5 / 8, 3 / 7, 0]
    assert np.isnan(iou[3]), "a class that is nowhere has no score"


def test_the_mean_leaves_out_classes_that_are_nowhere() -> None:
    assert mean_iou(BY_HAND) == pytest.approx((5 / 8 + 3 / 7 + 0) / 3)


def test_the_mean_can_be_restricted_to_the_first_classes() -> None:
    assert mean_iou(BY_HAND, classes=2) == pytest.approx((5 / 8 + 3 / 7) / 2)
    assert mean_iou(BY_HAND, classes=1) == 5 / 8
    assert mean_iou(BY_HAND, classes=4) == mean_iou(BY_HAND)


def test_pixel_accuracy_by_hand() -> None:
    assert pixel_accuracy(BY_HAND) == 8 / 12


def test_mean_accuracy_by_hand() -> None:
    assert mean_accuracy(BY_HAND) == pytest.approx((5 / 6 + 3 / 5 + 0) / 3)
    assert mean_accuracy(BY_HAND, classes=2) == pytest.approx((5 / 6 + 3 / 5) / 2)
    only_predicted = np.array([[2, 2], [0, 0]])
    assert mean_accuracy(only_predicted) == 0.5, "a class that is not labelled cannot be found"


def test_the_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    target, predicted = rng.integers(0, 5, (2, 30, 40)).astype(np.uint8)
    confusion = confusion_matrix(target, predicted, num_classes=6)
    flat = target.ravel(), predicted.ravel()
    assert mean_iou(confusion) == pytest.approx(sklearn.metrics.jaccard_score(*flat, average="macro"))
    assert mean_accuracy(confusion) == pytest.approx(sklearn.metrics.recall_score(*flat, average="macro"))
    assert pixel_accuracy(confusion) == pytest.approx(sklearn.metrics.accuracy_score(*flat))


def band_pixel_by_pixel(label_map: np.ndarray, *, distance: int) -> np.ndarray:
    """(H, W) bool, by looking around every pixel; whatever is outside is another thing."""
    padded = np.pad(label_map, distance, constant_values=255)
    band = np.zeros(label_map.shape, bool)
    for y, x in np.ndindex(label_map.shape):
        around = padded[y : y + 2 * distance + 1, x : x + 2 * distance + 1]
        band[y, x] = label_map[y, x] != 255 and (around != label_map[y, x]).any()
    return band


def blocks(*, seed: int, ignored: bool = False) -> np.ndarray:
    """(60, 80) uint8 of classes 0 … 3 in blocks that are larger than two bands; 2 % of the diagonal is 2 pixels."""
    coarse = np.random.default_rng(seed).integers(0, 4, (4, 5)).astype(np.uint8)
    labels = coarse.repeat(15, axis=0).repeat(16, axis=1)
    if ignored:
        labels[20:33, 30:41] = 255
    return labels


@pytest.mark.parametrize("ignored", [False, True])
def test_boundary_counts_are_those_of_each_class_pixel_by_pixel(ignored: bool) -> None:
    target, predicted = blocks(seed=0, ignored=ignored), np.roll(blocks(seed=0), 1, axis=(0, 1))
    counted = boundary_counts(target, predicted, target_band=inner_band(target), num_classes=5)
    judged = np.where(target == 255, 255, predicted)
    bands = [band_pixel_by_pixel(labels, distance=2) for labels in (target, judged)]
    for k in range(5):
        ours, theirs = bands[0] & (target == k), bands[1] & (judged == k)
        assert counted[:, k].tolist() == [(ours & theirs).sum(), (ours | theirs).sum()], k
    assert 0 < boundary_mean_iou(counted) < mean_iou(confusion_matrix(target, predicted, num_classes=5))


def test_boundary_iou_by_hand() -> None:
    # A diagonal of 28 pixels makes a band of one pixel: each half is framed by its outline.
    target, predicted = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    target[:, 10:], predicted[:, 12:] = 1, 1
    assert inner_band(target).sum() == 2 * (2 * 10 + 2 * 18)
    counted = boundary_counts(target, predicted, target_band=inner_band(target), num_classes=3)
    # Class 0: both outlines hold the left column, and top and bottom for 9 more; likewise for the rest.
    left, right = 20 + 2 * 9, 20 + 2 * 7
    assert counted[0].tolist() == [left, right, 0]
    assert counted[1].tolist() == [56 + 60 - left, 56 + 52 - right, 0]
    assert boundary_mean_iou(counted) == pytest.approx((left / (116 - left) + right / (108 - right)) / 2)
    assert boundary_mean_iou(counted, classes=1) == pytest.approx(left / (116 - left))


def test_the_images_border_is_a_boundary_and_the_inside_is_none() -> None:
    band = inner_band(np.zeros((60, 80), np.uint8))
    assert not band[2:-2, 2:-2].any()
    assert band.sum() == 60 * 80 - 56 * 76


def test_a_prediction_right_wherever_it_can_be_judged_has_the_right_boundary() -> None:
    target, predicted = blocks(seed=2, ignored=True), blocks(seed=2)
    counted = boundary_counts(target, predicted, target_band=inner_band(target), num_classes=4)
    assert boundary_mean_iou(counted) == 1
    nothing = np.full((60, 80), 255, np.uint8)
    assert boundary_counts(nothing, predicted, target_band=inner_band(nothing), num_classes=4).sum() == 0


@pytest.mark.filterwarnings("error")
def test_nothing_labelled_scores_nan_without_a_warning() -> None:
    nothing = np.zeros((3, 3), int)
    assert np.isnan(mean_iou(nothing))
    assert np.isnan(mean_iou(BY_HAND[2:, 2:], classes=1))
    assert np.isnan(pixel_accuracy(nothing))
    assert np.isnan(mean_accuracy(nothing))
    assert np.isnan(boundary_mean_iou(nothing[:2]))
