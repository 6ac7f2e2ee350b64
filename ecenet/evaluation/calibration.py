"""Calibration of confidences: expected calibration error, temperature scaling and the threshold for unsure answers."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import isotonic_regression, minimize_scalar

from ecenet.evaluation.class_map import ClassMap
from ecenet.inference.prediction import StagePrediction
from ecenet.inference.upsample import bilinear_weights, detail_size, repeat_to

BINS = 15
"""Number of equally wide confidence bins, as in Guo et al. 2017 (arXiv 1706.04599)."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Search range of `fit_temperature`."""
BAND_VALUES = 2**20
"""Number of logits that are interpolated at once."""


def calibration_counts(right: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(3, 15) float64 counts per confidence bin: pixels, correct pixels, and the sum of their confidences.

    Counts of several images can be added; with float16 confidences the sums are exact and independent of the order.

    Args:
        right: (n,) bool.
        confidence: (n,) in 0 … 1; bins include their upper edge but not their lower one.
    """
    bins = np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return np.stack(
        [
            np.bincount(bins, minlength=BINS).astype(np.float64),
            np.bincount(bins, weights=right, minlength=BINS),
            np.bincount(bins, weights=confidence, minlength=BINS),
        ]
    )


def expected_calibration_error(counts: np.ndarray) -> float:
    """Expected calibration error, 0 … 1: mean over pixels of |accuracy − mean confidence| of their bin; NaN without
    pixels."""
    total = counts[0].sum()
    return float(np.abs(counts[1] - counts[2]).sum() / total) if total else float("nan")


def answer_confidence(stage: StagePrediction, class_map: ClassMap | None) -> np.ndarray:
    """(H, W) float16 probability of each pixel's predicted class. With a class map, the sum over all classes of the
    weights that map to the same class of the data."""
    if class_map is None:
        return stage.confidence
    height, width = stage.label_map.shape
    detail = detail_size((width, height))
    counts_as = class_map.targets[:, None, None]
    bands = []
    for logits in _logit_bands(stage.confidence_logits, detail):
        powers = np.exp(logits - logits.max(axis=0))
        answer = class_map.targets[logits.argmax(axis=0)]
        bands.append((powers * (counts_as == answer)).sum(axis=0) / powers.sum(axis=0))
    return repeat_to(np.concatenate(bands).astype(np.float16), (width, height))


def sampled_logits(logits: np.ndarray, size: tuple[int, int], *, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits at up to about `most` evenly spaced pixels of an image, interpolated as in the predictor.

    Args:
        logits: (K, h, w) array.
        size: (height, width) of the image.
    Returns: (n, K) float32 logits, and (2, n) rows and columns of the pixels.
    """
    height, width = size
    step = max(1, round((height * width / most) ** 0.5))
    rows, columns = (np.arange(min(step // 2, side - 1), side, step) for side in (height, width))
    detail = detail_size((width, height))
    down = bilinear_weights(logits.shape[1], detail[0]).numpy()[rows * detail[0] // height]
    across = bilinear_weights(logits.shape[2], detail[1]).numpy()[columns * detail[1] // width]
    values = (down @ logits @ across.T).reshape(len(logits), -1).T
    return np.ascontiguousarray(values, dtype=np.float32), np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(
        2, -1
    )


def negative_log_likelihood(
    logits: np.ndarray, targets: np.ndarray, *, temperature: float, counts_as: np.ndarray | None = None
) -> float:
    """Mean of −log p(target), where p is the softmax of the logits divided by the temperature.

    Args:
        logits: (n, K), n ≥ 1.
        targets: (n,) true classes; at least one column must map to each of them.
        counts_as: (K,) class that each column maps to; its own index by default. Probabilities of columns that map to
            the same class are added.
    """
    counts_as = np.arange(logits.shape[1]) if counts_as is None else counts_as
    total, step = 0.0, max(1, BAND_VALUES // logits.shape[1])
    for start in range(0, len(logits), step):
        part = logits[start : start + step] / np.float32(temperature)
        powers = np.exp(part - part.max(axis=1, keepdims=True))
        meant = (powers * (counts_as == targets[start : start + step, None])).sum(axis=1)
        # Avoid log(0) when the probability underflows.
        total -= float(np.log(np.maximum(meant, np.finfo(np.float32).tiny) / powers.sum(axis=1)).sum(dtype=np.float64))
    return total / len(logits)


def fit_temperature(logits: np.ndarray, targets: np.ndarray, *, counts_as: np.ndarray | None = None) -> float:
    """The temperature in 0.05 … 20 that minimises `negative_log_likelihood` (temperature scaling, Guo et al. 2017).

    Arguments as for `negative_log_likelihood`. If every answer is correct, the result is the lower bound."""
    found = minimize_scalar(
        lambda log: negative_log_likelihood(logits, targets, temperature=float(np.exp(log)), counts_as=counts_as),
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def unsure_threshold(right: np.ndarray, confidence: np.ndarray) -> float | None:
    """The confidence (0 … 1, rounded to whole percent) below which an answer is more likely wrong than correct; None if
    there is no such confidence.

    This is Chow's rule (1970) with a cost of one half: reject an answer whose probability of being correct is below
    1/2. That probability is estimated by isotonic regression of correctness on confidence (Zadrozny and Elkan 2002).

    Args:
        right: (n,) bool.
        confidence: (n,) in 0 … 1.
    """
    # Round to whole percent: one value of the regression per percent.
    percent = np.rint(100 * confidence.astype(np.float64)).astype(np.int64)
    pixels = np.bincount(percent, minlength=101).astype(np.float64)
    rights = np.bincount(percent, weights=right, minlength=101)
    occurring = np.flatnonzero(pixels)
    chance = isotonic_regression(rights[occurring] / pixels[occurring], weights=pixels[occurring]).x
    low = occurring[chance < 0.5]
    return min(float(low[-1]) + 1, 100) / 100 if low.size else None


def _logit_bands(logits: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Interpolate (K, h, w) logits bilinearly to (H, W); yields bands of (K, rows, W) to limit memory."""
    height, width = size
    down = bilinear_weights(logits.shape[1], height).numpy()
    across = np.ascontiguousarray(bilinear_weights(logits.shape[2], width).numpy().T)
    step = max(1, BAND_VALUES // (len(logits) * width))
    for top in range(0, height, step):
        yield down[top : top + step] @ logits @ across
