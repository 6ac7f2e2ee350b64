"""Bootstrap confidence intervals of IoU: how much a score depends on the choice of photos in the split."""

import numpy as np

RESAMPLES = 1000
LEVEL = 95
"""Coverage of the interval in percent."""


def iou_counts(confusion: np.ndarray) -> np.ndarray:
    """(3, K) correct, labelled and predicted pixels from the (K, K) or (K, K + 1) confusion matrix of a photo.

    Counts of several photos can be added; IoU needs nothing else."""
    classes = len(confusion)
    return np.stack([confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)[:classes]])


def iou_intervals(
    counts: np.ndarray, *, classes: int | None = None, labelled_only: bool = False, seed: int = 0
) -> tuple[list[float], list[list[float]]]:
    """95 % bootstrap intervals by resampling photos with replacement, percentile method (Efron 1979).

    As in `mean_iou`, classes that do not occur in a resample are excluded from its mean.

    Args:
        counts: (N, 3, K) `iou_counts` of each photo.
        classes, labelled_only: as for `mean_iou`.
        seed: random seed of the resampling.
    Returns: [low, high] of the mean IoU, and of each of the K classes; NaN if nothing was labelled or predicted.
    """
    photos, _, known = counts.shape
    if not photos:
        return [float("nan")] * 2, [[float("nan")] * 2] * known
    drawn = np.random.default_rng(seed).multinomial(photos, np.full(photos, 1 / photos), size=RESAMPLES)
    # Pixel counts are integers far below 2⁵³, so sums are exact in any order.
    sums = (drawn.astype(np.float64) @ counts.reshape(photos, -1)).reshape(RESAMPLES, 3, known)
    right, labelled, predicted = sums[:, 0], sums[:, 1], sums[:, 2]
    union = labelled + predicted - right
    iou = np.divide(right, union, out=np.full_like(union, np.nan), where=union > 0)
    counted = np.where(labelled > 0, iou, np.nan) if labelled_only else iou
    means = [_mean(values) for values in counted[:, :classes]]
    return _interval(np.array(means)), [_interval(iou[:, k]) for k in range(known)]


def _mean(values: np.ndarray) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def _interval(samples: np.ndarray) -> list[float]:
    kept = samples[~np.isnan(samples)]
    if not len(kept):
        return [float("nan")] * 2
    low, high = np.percentile(kept, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return [float(low), float(high)]
