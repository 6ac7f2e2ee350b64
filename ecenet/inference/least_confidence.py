"""Removal of pixels with low confidence from predictions."""

from dataclasses import replace

import numpy as np

from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.inference.prediction import Prediction, StagePrediction


def above_confidence(prediction: Prediction, least: float) -> Prediction:
    """Return the prediction with 255 for all pixels, at each stage, whose confidence is below `least`. Areas and mean
    confidences are those of the remaining pixels; areas are still shares of the whole photo.

    Args:
        least: 0 … 1; 0 changes nothing.
    Raises:
        UserError: it is not a number from 0 to 1.
    """
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        raise UserError(
            "out-of-range",
            f"Expected a minimum confidence between 0 and 1, got {str(least)[:20]!r}; choose a number in that range.",
        )
    if least == 0:
        return prediction
    return replace(prediction, stages={name: _above(stage, least) for name, stage in prediction.stages.items()})


def _above(stage: StagePrediction, least: float) -> StagePrediction:
    sure = stage.confidence >= np.float16(least)
    labels, count = stage.label_map[sure], len(stage.area)
    pixels = np.bincount(labels, minlength=count)
    sums = np.bincount(labels, weights=stage.confidence[sure].astype(np.float64), minlength=count)
    with np.errstate(invalid="ignore"):
        means = sums / pixels
    return replace(
        stage,
        label_map=np.where(sure, stage.label_map, np.uint8(IGNORE_INDEX)),
        area=pixels / stage.label_map.size,
        mean_confidence=means,
    )
