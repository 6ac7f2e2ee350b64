"""Bootstrap intervals of the mean IoU over photos."""

import numpy as np
import pytest

from ecenet.evaluation.intervals import iou_counts, iou_intervals
from ecenet.evaluation.metrics import intersection_over_union, mean_iou


def confusions(*, photos: int = 30, classes: int = 3, seed: int = 0) -> np.ndarray:
    """(N, K, K) of photos that differ."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 50, (photos, classes, classes)) + rng.integers(0, 200, (photos, 1, 1)) * np.eye(
        classes, dtype=int
    )


def counts_of(found: np.ndarray) -> np.ndarray:
    return np.stack([iou_counts(one) for one in found])


def test_counts_by_hand() -> None:
    assert iou_counts(np.array([[5, 1], [2, 3]])).tolist() == [[5, 3], [6, 5], [7, 4]]
    assert iou_counts(np.array([[5, 1, 4], [2, 3, 0]])).tolist() == [[5, 3], [10, 5], [7, 4]], "answers outside"


def test_equal_photos_leave_no_doubt() -> None:
    found = np.repeat(confusions(photos=1), 7, axis=0)
    interval, by_class = iou_intervals(counts_of(found))
    assert interval == pytest.approx([mean_iou(found[0])] * 2)
    for own, value in zip(by_class, intersection_over_union(found[0]), strict=True):
        assert own == pytest.approx([value] * 2)


def test_the_interval_is_the_plain_bootstraps() -> None:
    found = confusions()
    rng = np.random.default_rng(5)
    samples = [mean_iou(found[rng.integers(0, 30, 30)].sum(axis=0)) for _ in range(3000)]
    interval, _ = iou_intervals(counts_of(found))
    assert interval == pytest.approx(np.percentile(samples, [2.5, 97.5]), abs=0.01)
    assert interval[0] < mean_iou(found.sum(axis=0)) < interval[1]
    assert interval == iou_intervals(counts_of(found))[0], "the same seed"
    assert interval != iou_intervals(counts_of(found), seed=1)[0]


def test_more_photos_narrow_it() -> None:
    few, many = (iou_intervals(counts_of(confusions(photos=photos)))[0] for photos in (10, 400))
    assert many[1] - many[0] < (few[1] - few[0]) / 3


def test_a_class_that_is_nowhere_has_none_and_is_left_out_of_the_mean() -> None:
    found = np.zeros((4, 2, 2), int)
    found[:, 0, 0] = [1, 2, 3, 4]
    interval, by_class = iou_intervals(counts_of(found))
    assert interval == [1, 1]
    assert np.isnan(by_class[1]).all()
    assert np.isnan(iou_intervals(np.zeros((0, 3, 2), int))[0]).all(), "no photo"


def test_classes_and_labels_restrict_the_mean() -> None:
    found = np.zeros((3, 2, 2), int)
    found[:, 0] = [3, 1]  # class 1 is never labelled, yet predicted
    assert iou_intervals(counts_of(found))[0] == pytest.approx([0.375] * 2)
    assert iou_intervals(counts_of(found), labelled_only=True)[0] == pytest.approx([0.75] * 2)
    assert iou_intervals(counts_of(found), classes=1)[0] == pytest.approx([0.75] * 2)
