"""Transplant a class embedding from one photo to another. Not from the paper."""

import numpy as np
import torch

from ecenet.common.errors import UserError
from ecenet.inference.prediction import Prediction
from ecenet.model.edits import StageEdits


def transplant(
    source: Prediction,
    target: Prediction,
    *,
    class_index: int,
    stage: str = "ece",
    into: int | None = None,
    t: float = 1.0,
) -> StageEdits:
    """Edits that replace a class embedding of a photo with (1 − t) · its own + t · that of another photo.

    Args:
        source: prediction that provides the embedding.
        target: prediction of the photo to predict again.
        class_index: class in the source.
        stage: stage whose input embeddings are edited; `ece` edits E_0.
        into: class to replace in the target; the same class by default.
        t: interpolation, 0 … 1; 0 changes nothing.
    Returns: the edits for `HeadEdits.stages`, under the stage's name.
    Raises:
        UserError: predictions by different weights, unknown stage or class, learned embeddings, or t out of range.
    """
    into = class_index if into is None else into
    if list(source.stages) != list(target.stages) or stage not in target.stages:
        raise UserError(
            "unknown-choice",
            f"Expected a stage that both photos have, among {', '.join(target.stages)}, got {stage!r}; "
            "predict both with the same weights.",
        )
    if stage != "ece" and stage == next(iter(target.stages)):
        raise UserError(
            "unsupported-by-weights",
            f"Expected a stage after the first one, got {stage}, whose learned input embeddings are the same in every "
            "photo; choose a later stage.",
        )
    giving, taking = _entering(source, stage), _entering(target, stage)
    if not 0 <= class_index < len(giving) or not 0 <= into < len(taking):
        raise UserError(
            "unknown-choice",
            f"Expected classes in 0 … {len(giving) - 1} and 0 … {len(taking) - 1}, got {class_index} and {into}; "
            "choose from these.",
        )
    if giving.shape[1] != taking.shape[1]:
        raise UserError(
            "size-mismatch",
            f"Expected embeddings of equal width, got {giving.shape[1]} and {taking.shape[1]}; "
            "predict both with the same weights.",
            expected=taking.shape[1],
            got=giving.shape[1],
        )
    if not 0 <= t <= 1:
        raise UserError("out-of-range", f"Expected t in 0 … 1, got {t}; choose a value in that range.")
    vector = (1 - t) * taking[into] + t * giving[class_index]
    return StageEdits(embeddings={into: torch.from_numpy(vector)})


def _entering(prediction: Prediction, stage: str) -> np.ndarray:
    """(K, D) input embeddings of a stage: the output of the previous stage, or E_0 for `ece`."""
    names = list(prediction.stages)
    return prediction.stages[names[max(names.index(stage) - 1, 0)]].embeddings
