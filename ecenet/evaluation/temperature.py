"""Calibrate weights on a labelled split: fit the temperature and the confidence below which answers are unsure."""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.calibration import (
    calibration_counts,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    sampled_logits,
    unsure_threshold,
)
from ecenet.evaluation.class_map import ClassMap
from ecenet.evaluation.evaluate import check_labels, picked_images
from ecenet.inference.predictor import Predictor
from ecenet.inference.unsure import counts_as_unsure

MAX_VALUES = 40_000_000
"""Maximum number of logits in memory (160 MB)."""
MAX_PIXELS_EACH, MIN_PIXELS_EACH = 4000, 64
"""Number of pixels sampled per photo, evenly spaced; neighbouring pixels are nearly redundant."""


@dataclass(frozen=True)
class Calibration:
    """A temperature and its effect on the pixels that it was fitted to; "before" means at temperature 1."""

    temperature: float
    nll_before: float
    """Mean negative log-likelihood of the true class, in nats."""
    nll: float
    error_before: float
    """Expected calibration error, 0 … 1."""
    error: float
    pixels: int
    images: int
    unsure_below: float | None
    """Confidence at this temperature below which answers are more likely wrong than correct (`unsure_threshold`); None
    if there is no such confidence."""
    unsure: float
    """Share of pixels below that confidence, 0 … 1."""
    unsure_right: float | None
    """Share of those pixels that are correct; None if there are none."""


def calibrate(
    predictor: Predictor, data: LabelledSplit, *, limit: int | None = None, class_map: ClassMap | None = None
) -> Calibration:
    """Fit the temperature of the final mask by negative log-likelihood on evenly spaced pixels of every image
    (temperature scaling, Guo et al. 2017); then find the confidence below which answers are unsure.

    Args:
        limit: use only this many images, evenly spaced.
        class_map: maps the classes of the weights to those of the data, if they differ.
    Raises:
        UserError: the classes of data and weights differ, a file cannot be read, or nothing is labelled.
    """
    if class_map is None:
        check_labels(predictor, data)
    counts_as = np.arange(predictor.model.num_classes) if class_map is None else class_map.targets
    picked = picked_images(data, limit=limit)
    most = int(np.clip(MAX_VALUES // (len(picked) * len(counts_as)), MIN_PIXELS_EACH, MAX_PIXELS_EACH))
    found: list[np.ndarray] = []
    truths: list[np.ndarray] = []
    for index in tqdm(picked, desc=f"Calibrating on {data.split}", unit="image", leave=False):
        image, target = data.load(int(index))
        final = predictor.predict(image).final
        logits, (rows, columns) = sampled_logits(final.mask_logits, target.shape, most=most)
        truth = target[rows, columns]
        # Pixels of classes that cannot be predicted say nothing about calibration.
        known = (truth != IGNORE_INDEX) & np.isin(truth, counts_as)
        found.append(logits[known])
        truths.append(truth[known].astype(np.int64))
    logits, targets = np.concatenate(found), np.concatenate(truths)
    if not len(targets):
        raise UserError(
            "not-enough-data",
            f"Expected labelled pixels of classes that the weights know in {data.root}, but {data.split} has none; "
            "choose another split.",
        )
    temperature = round(fit_temperature(logits, targets, counts_as=counts_as), 4)
    right, confidence = _answers(logits, targets, temperature=temperature, counts_as=counts_as)
    below = unsure_threshold(right, confidence)
    unsure = counts_as_unsure(confidence, below=below)
    return Calibration(
        temperature=temperature,
        nll_before=negative_log_likelihood(logits, targets, temperature=1.0, counts_as=counts_as),
        nll=negative_log_likelihood(logits, targets, temperature=temperature, counts_as=counts_as),
        error_before=_error(logits, targets, temperature=1.0, counts_as=counts_as),
        error=_error(logits, targets, temperature=temperature, counts_as=counts_as),
        pixels=len(targets),
        images=len(picked),
        unsure_below=below,
        unsure=float(unsure.mean()),
        unsure_right=float(right[unsure].mean()) if unsure.any() else None,
    )


def _answers(
    logits: np.ndarray, targets: np.ndarray, *, temperature: float, counts_as: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool whether the most probable class of the weights is correct, and (n,) float32 its probability, which is
    the confidence that the app shows (not summed over a class map)."""
    powers = _powers(logits, temperature=temperature)
    return counts_as[logits.argmax(axis=1)] == targets, powers.max(axis=1) / powers.sum(axis=1)


def _error(logits: np.ndarray, targets: np.ndarray, *, temperature: float, counts_as: np.ndarray) -> float:
    """Expected calibration error of (n, K) logits against (n,) classes of the data."""
    powers = _powers(logits, temperature=temperature)
    answer = counts_as[logits.argmax(axis=1)]
    confidence = (powers * (counts_as == answer[:, None])).sum(axis=1) / powers.sum(axis=1)
    return expected_calibration_error(calibration_counts(answer == targets, confidence))


def _powers(logits: np.ndarray, *, temperature: float) -> np.ndarray:
    """(n, K) unnormalised probabilities."""
    powers: np.ndarray = np.exp((logits - logits.max(axis=1, keepdims=True)) / np.float32(temperature))
    return powers


def calibration_summary(found: Calibration) -> str:
    """A one-line summary for the command line."""
    if found.unsure_below is None:
        unsure = "no confidence below which answers are more likely wrong than correct"
    else:
        unsure = (
            f"unsure below {found.unsure_below:.0%}: {found.unsure:.1%} of the pixels, "
            f"{found.unsure_right or 0:.0%} of them correct"
        )
    return (
        f"Temperature {found.temperature:g} on {found.pixels} pixels of {found.images} images: "
        f"negative log-likelihood {found.nll_before:.4f} -> {found.nll:.4f}, "
        f"expected calibration error {found.error_before:.4f} -> {found.error:.4f}; "
        f"{unsure}"
    )
