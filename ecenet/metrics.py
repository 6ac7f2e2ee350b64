"""Segmentation metrics from a confusion matrix."""

import numpy as np

from ecenet.data.labels import IGNORE_INDEX


def confusion_matrix(target: np.ndarray, predicted: np.ndarray, *, num_classes: int) -> np.ndarray:
    """(K, K) int64 pixel counts, rows = target, columns = predicted; pixels labelled 255 are left out.

    Args:
        target, predicted: integer arrays of one shape.
    """
    valid = target != IGNORE_INDEX
    pairs = target[valid].astype(np.int64) * num_classes + predicted[valid]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """(K,) IoU in 0 … 1; NaN for a class that is neither labelled nor predicted."""
    correct = np.diag(confusion).astype(float)
    union = confusion.sum(0) + confusion.sum(1) - correct
    return np.divide(correct, union, out=np.full(len(correct), np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray, *, classes: int | None = None) -> float:
    """Mean IoU over the first `classes` classes (all by default) that occur; NaN if none does."""
    iou = intersection_over_union(confusion)[:classes]
    return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Share of labelled pixels that are right, 0 … 1; NaN without labelled pixels."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")
