"""Where a class embedding of one photo fits in other photos. Ours.

A stage compares embeddings with features in its attention, not as they are: they may even differ in width. So the other
photo's head is given the embedding (a transplant), and the map is the mask that emerges.
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
    """Of a model's stages those that compare features with class embeddings, coarse to fine."""
    return [name for name in stages if name != "ece"]


def find_embedding(
    predictor: Predictor, predictions: Sequence[Prediction], class_index: int, *, stage: str
) -> list[Found]:
    """Look for a class embedding of the first prediction's photo in all of the photos, its own among them.

    At every stage up to the given one, the embedding that enters it in the first photo is compared with that stage's
    features of the other photo, in the place of the photo's own embedding of the class.

    Args:
        class_index: one of the weights' classes, whether or not the photo shows it.
        stage: one of `embedding_levels`.
    Returns: the stage's mask logits of the class, without bounds, on the stage's grid; in the first photo those that
        were predicted.
    Raises:
        UserError: there is no such class or stage.
    """
    source = predictions[0]
    stages = embedding_levels(list(source.stages))
    if stage not in stages:
        raise UserError(
            "unknown-choice",
            f"Expected a stage that compares features with class embeddings ({', '.join(stages)}), got "
            f"{str(stage)[:40]!r}; choose one of these.",
        )
    # What enters the very first stage is learned and the same in every photo.
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
