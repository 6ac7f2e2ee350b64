"""Find a class embedding of one photo in other photos. Not from the paper.

Embeddings and features cannot be compared directly, because a stage compares them in its attention and their widths can
differ. So the embedding is transplanted into the head for the other photo, and the resulting mask is the map.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ecenet.analysis.diagnostics.feature_match import Found, found_in
from ecenet.analysis.interventions.transplant import transplant
from ecenet.common.errors import UserError
from ecenet.inference.prediction import ImageFeatures, Prediction
from ecenet.inference.predictor import Predictor
from ecenet.model.edits import HeadEdits


def embedding_levels(stages: Sequence[str]) -> list[str]:
    """The stages of a model that compare features with class embeddings, coarse to fine."""
    return [name for name in stages if name != "ece"]


def find_embedding(
    predictor: Predictor, predictions: Sequence[Prediction], class_index: int, *, stage: str
) -> list[Found]:
    """Search all photos, including the first, for a class embedding of the first photo.

    At every stage up to the given one, the class embedding of the other photo is replaced with the one that enters the
    stage in the first photo.

    Args:
        class_index: any class of the weights, whether or not it occurs in the photo.
        stage: one of `embedding_levels`.
    Returns: the stage's (unbounded) mask logits of the class on the stage's grid; for the first photo, as predicted.
    Raises:
        UserError: unknown class or stage.
    """
    source = predictions[0]
    stages = embedding_levels(list(source.stages))
    if stage not in stages:
        raise UserError(
            "unknown-choice",
            f"Expected a stage that compares features with class embeddings ({', '.join(stages)}), got "
            f"{str(stage)[:40]!r}; choose one of these.",
        )
    # The input of the very first stage is learned and the same in every photo.
    changed = [name for name in stages[: stages.index(stage) + 1] if name != next(iter(source.stages))]
    edits = [
        HeadEdits(stages={name: transplant(source, one, class_index=class_index, stage=name) for name in changed})
        for one in predictions
    ]

    def masks(used: Predictor, kept: Sequence[ImageFeatures]) -> list[np.ndarray]:
        found = []
        for one, edit in zip(kept, edits, strict=True):
            with torch.inference_mode(), used.autocast():
                output = used.model.forward_head(one.tensors, edit.to(used.device))
            found.append(output.stages[stage].mask_logits[0, class_index].float().cpu().numpy())
        return found

    maps = predictor.run(masks, [prediction.features for prediction in predictions])
    return [found_in(logits, prediction) for logits, prediction in zip(maps, predictions, strict=True)]
