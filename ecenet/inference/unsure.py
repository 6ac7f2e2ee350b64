"""Unsure pixels: those below a confidence that `ecenet calibrate` has chosen. Ours."""

import numpy as np

from ecenet.inference.prediction import Prediction

MOSTLY = 0.5
"""Share of unsure pixels above which a warning about the whole photo is shown."""


def counts_as_unsure(confidence: np.ndarray, *, below: float | None) -> np.ndarray:
    """Return which confidences count as unsure, as bool of the same shape; none without a threshold.

    Confidences are compared in whole percent, as displayed, so that 43 % never counts as below 43 %.

    Args:
        confidence: 0 … 1.
        below: the threshold, 0 … 1.
    """
    if below is None:
        return np.zeros(confidence.shape, dtype=bool)
    return np.asarray(np.rint(100 * confidence.astype(np.float32)) < round(100 * below, 2))


def unsure_share(prediction: Prediction) -> float:
    """Return the share of unsure pixels in the final mask, 0 … 1. The threshold does not apply to other stages."""
    return float(counts_as_unsure(prediction.confidence, below=prediction.unsure_below).mean())
