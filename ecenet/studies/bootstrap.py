"""How well a score warns of failures: ranks, thresholds, and bootstrap intervals over images."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata


class Estimate(NamedTuple):
    """A figure, and the interval that holds 95 % of its bootstrap samples."""

    value: float
    low: float
    high: float


def image_samples(image: np.ndarray, *, count: int, seed: int) -> list[np.ndarray]:
    """Bootstrap over images, not over pairs: those of one image go together. Rows of each sample.

    Args:
        image: (N,) of each row.
    """
    rows = [np.flatnonzero(image == one) for one in np.unique(image)]
    rng = np.random.default_rng(seed)
    return [np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(count)]


def failure_auc(safety: np.ndarray, failed: np.ndarray) -> float:
    """Chance that of a failure and another mask the failure has the lower safety, ties counted half; NaN where there
    is only one kind.

    Args:
        safety: (N,), high is safe.
        failed: (N,) bool.
    """
    failures, others = int(failed.sum()), int((~failed).sum())
    if not failures or not others:
        return float("nan")
    ranks = rankdata(safety)
    return float((ranks[~failed].sum() - others * (others + 1) / 2) / (failures * others))


def best_threshold(safety: np.ndarray, failed: np.ndarray) -> float:
    """Where "less than this" has the best F1 as a warning of failures: halfway between two values, so that neither is
    hit. NaN without failures."""
    if not failed.any():
        return float("nan")
    values = np.unique(safety)
    cuts = np.append((values[:-1] + values[1:]) / 2, np.inf)
    warns = safety[None] < cuts[:, None]
    hits = (warns & failed).sum(axis=1)
    return float(cuts[np.argmax(2 * hits / (warns.sum(axis=1) + failed.sum()))])


def precision_and_recall(warns: np.ndarray, failed: np.ndarray) -> tuple[float, float]:
    """Of (N,) bool each; NaN where nothing is warned of, or nothing failed."""
    hits = int((warns & failed).sum())
    precision = hits / warns.sum() if warns.any() else float("nan")
    return float(precision), float(hits / failed.sum()) if failed.any() else float("nan")


def estimate(value: float, samples: np.ndarray) -> Estimate:
    """From the (S,) values of bootstrap samples; those that are NaN do not count."""
    if not np.isfinite(samples).any():
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
