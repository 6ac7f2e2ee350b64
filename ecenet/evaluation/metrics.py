"""Segmentation metrics from pixel counts; counts of several images can be added."""

import math

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from ecenet.data.labels import IGNORE_INDEX

BOUNDARY_SHARE = 0.02
"""Width of the boundary band as a share of the image diagonal (Cheng et al. 2021)."""


def confusion_matrix(
    target: np.ndarray, predicted: np.ndarray, *, num_classes: int, num_predicted: int | None = None
) -> np.ndarray:
    """(K, P) int64 pixel counts, rows = target, columns = predicted; pixels labelled 255 are ignored.

    Args:
        target, predicted: integer arrays of the same shape.
        num_classes: K.
        num_predicted: P, if predictions can have more classes than the target; K by default.
    """
    columns = num_classes if num_predicted is None else num_predicted
    valid = target != IGNORE_INDEX
    pairs = target[valid].astype(np.int64) * columns + predicted[valid]
    return np.bincount(pairs, minlength=num_classes * columns).reshape(num_classes, columns)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """(K,) IoU in 0 … 1; NaN for a class that is neither labelled nor predicted.

    Args:
        confusion: (K, K), or (K, K + 1) with a last column for predictions of none of the K classes.
    """
    correct = np.diag(confusion)
    return _share(correct, confusion.sum(0)[: len(confusion)] + confusion.sum(1) - correct)


def mean_iou(confusion: np.ndarray, *, classes: int | None = None, labelled_only: bool = False) -> float:
    """Mean IoU over those of the first `classes` classes (all by default) that occur; NaN if none does.

    Args:
        labelled_only: exclude classes that are predicted but not labelled; otherwise they count with an IoU of 0.
    """
    iou = intersection_over_union(confusion)
    return _mean((np.where(confusion.sum(1) > 0, iou, np.nan) if labelled_only else iou)[:classes])


def mean_accuracy(confusion: np.ndarray, *, classes: int | None = None) -> float:
    """Mean recall over those of the first `classes` classes (all by default) that are labelled; NaN if none is."""
    return _mean(_share(np.diag(confusion), confusion.sum(1))[:classes])


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Share of labelled pixels that are correct, 0 … 1; NaN without labelled pixels."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def inner_band(label_map: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels within distance d of the boundary of their class; the image border counts as boundary.

    This is the band of Boundary IoU (Cheng et al. 2021, arXiv 2103.16562): d is 2 % of the image diagonal, at least
    one pixel, in steps of the 8-neighbourhood as in the reference implementation. Unlike there, all classes are
    processed at once: a pixel is in the band if the (2d + 1)² window around it contains another value.

    Args:
        label_map: (H, W) uint8; pixels of 255 belong to no class and no band.
    """
    side = 2 * max(1, round(BOUNDARY_SHARE * math.hypot(*label_map.shape))) + 1
    lowest = minimum_filter(label_map, size=side, mode="constant", cval=IGNORE_INDEX)
    highest = maximum_filter(label_map, size=side, mode="constant", cval=IGNORE_INDEX)
    return (lowest != highest) & (label_map != IGNORE_INDEX)


def boundary_counts(
    target: np.ndarray, predicted: np.ndarray, *, target_band: np.ndarray, num_classes: int
) -> np.ndarray:
    """(2, K) int64: intersection and union of each class's inner bands in target and prediction. Counts of several
    images can be added.

    Not from the paper: where the target is 255, the prediction is set to 255 too. Otherwise a perfect prediction would
    lack the target's boundaries along ignored regions.

    Args:
        target, predicted: (H, W) uint8.
        target_band: (H, W) bool, `inner_band(target)`; passed in because all stages share it.
    """
    judged = np.where(target == IGNORE_INDEX, target, predicted).astype(np.uint8)
    band = inner_band(judged)
    both = np.bincount(target[target_band & band & (target == judged)], minlength=num_classes)
    sizes = [np.bincount(labels, minlength=num_classes) for labels in (target[target_band], judged[band])]
    return np.stack([both, sizes[0] + sizes[1] - both])


def boundary_mean_iou(counts: np.ndarray, *, classes: int | None = None, labelled: np.ndarray | None = None) -> float:
    """Mean Boundary IoU from `boundary_counts` over those of the first `classes` classes (all by default) that occur;
    NaN if none does.

    Args:
        labelled: (K,) bool, classes to include; all classes that have a boundary by default.
    """
    iou = _share(counts[0], counts[1])
    return _mean((iou if labelled is None else np.where(labelled, iou, np.nan))[:classes])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(K,) quotients; NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if all are."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
