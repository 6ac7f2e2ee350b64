"""A class embedding of one photo in the place of another photo's. Ours."""

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
    """A class embedding of one photo in the place of another photo's: (1 − t) of its own and t of the other. Ours.

    Args:
        source: where the embedding is taken from.
        target: the photo that is to be predicted again, as it was predicted before.
        class_index: the class in the source.
        stage: where it takes its place: `ece` among E_0, another stage among the embeddings that enter it.
        into: the class in the target; the same by default.
        t: 0 … 1 along the straight line between the two; 0 changes nothing.
    Returns: for `HeadEdits.stages`, under the stage's name.
    Raises:
        UserError: predictions of different weights, no such stage or class, learned embeddings, or t out of its range.
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
            f"Expected a stage behind the first one, got {stage}, which learned embeddings enter, the same in every "
            "photo; choose a later stage.",
        )
    giving, taking = _entering(source, stage), _entering(target, stage)
    if not 0 <= class_index < len(giving) or not 0 <= into < len(taking):
        raise UserError(
            "unknown-choice",
            f"Expected classes of 0 … {len(giving) - 1} and 0 … {len(taking) - 1}, got {class_index} and {into}; "
            "choose among these.",
        )
    if giving.shape[1] != taking.shape[1]:
        raise UserError(
            "size-mismatch",
            f"Expected embeddings of one width, got {giving.shape[1]} and {taking.shape[1]}; "
            "predict both with the same weights.",
            expected=taking.shape[1],
            got=giving.shape[1],
        )
    if not 0 <= t <= 1:
        raise UserError("out-of-range", f"Expected t of 0 … 1, got {t}; choose a number between.")
    vector = (1 - t) * taking[into] + t * giving[class_index]
    return StageEdits(embeddings={into: torch.from_numpy(vector)})


def _entering(prediction: Prediction, stage: str) -> np.ndarray:
    """(K, D) embeddings that enter a stage: those that left the one before; for `ece` E_0."""
    names = list(prediction.stages)
    return prediction.stages[names[max(names.index(stage) - 1, 0)]].embeddings
