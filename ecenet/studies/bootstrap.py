"""How well a score predicts failures: AUC, thresholds, and bootstrap intervals over images."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata


class Estimate(NamedTuple):
    """A value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def image_samples(image: np.ndarray, *, count: int, seed: int) -> list[np.ndarray]:
    """Row indices of bootstrap samples, drawn over images so that the rows of an image stay together.

    Args:
        image: (N,) image of each row.
    """
    rows = [np.flatnonzero(image == one) for one in np.unique(image)]
    rng = np.random.default_rng(seed)
    return [np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(count)]


def failure_auc(safety: np.ndarray, failed: np.ndarray) -> float:
    """AUC: probability that a failure has a lower safety than a success, ties counted half; NaN if either is missing.

    Args:
        safety: (N,) score, high is safe.
        failed: (N,) bool.
    """
    failures, others = int(failed.sum()), int((~failed).sum())
    if not failures or not others:
        return float("nan")
    ranks = rankdata(safety)
    return float((ranks[~failed].sum() - others * (others + 1) / 2) / (failures * others))


def best_threshold(safety: np.ndarray, failed: np.ndarray) -> float:
    """The threshold for which "safety < threshold" predicts failures with the best F1, midway between two values; NaN
    without failures."""
    if not failed.any():
        return float("nan")
    values = np.unique(safety)
    cuts = np.append((values[:-1] + values[1:]) / 2, np.inf)
    warns = safety[None] < cuts[:, None]
    hits = (warns & failed).sum(axis=1)
    return float(cuts[np.argmax(2 * hits / (warns.sum(axis=1) + failed.sum()))])


def precision_and_recall(warns: np.ndarray, failed: np.ndarray) -> tuple[float, float]:
    """Precision and recall of (N,) bool warnings for (N,) bool failures; NaN without warnings or failures."""
    hits = int((warns & failed).sum())
    precision = hits / warns.sum() if warns.any() else float("nan")
    return float(precision), float(hits / failed.sum()) if failed.any() else float("nan")


def estimate(value: float, samples: np.ndarray) -> Estimate:
    """An estimate with the interval of (S,) bootstrap values; NaN values are ignored."""
    if not np.isfinite(samples).any():
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
