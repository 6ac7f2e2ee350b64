"""Where an answer is too unsure to be told as one: below a confidence that `ecenet calibrate` has chosen. Ours."""

import numpy as np

from ecenet.inference.prediction import Prediction

MOSTLY = 0.5
"""Share of a photo's pixels above which the photo as a whole is called unsure."""


def counts_as_unsure(confidence: np.ndarray, *, below: float | None) -> np.ndarray:
    """Bool of any shape: which confidences count as unsure; none where nobody has chosen a threshold.

    In whole percent, as people read them: nothing that is shown as 43 % may be called lower than 43 %.

    Args:
        confidence: 0 … 1.
        below: the threshold, 0 … 1.
    """
    if below is None:
        return np.zeros(confidence.shape, dtype=bool)
    return np.asarray(np.rint(100 * confidence.astype(np.float32)) < round(100 * below, 2))


def unsure_share(prediction: Prediction) -> float:
    """Share of the photo whose final answer is unsure, 0 … 1. Stages have no such share: the threshold was chosen for
    the final mask."""
    return float(counts_as_unsure(prediction.confidence, below=prediction.unsure_below).mean())
