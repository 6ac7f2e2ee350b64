"""Find places in photos that look like a chosen place, by cosine similarity of features. Not from the paper.

The features of all backbone stages form one descriptor of a place (a hypercolumn, Hariharan et al. 2015): coarse stages
identify the object, fine stages its boundary.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor

BACKBONE = "backbone"


class Match(NamedTuple):
    """The most similar place in a photo."""

    x: int
    """(x, y) pixel of the photo."""
    y: int
    cosine: float
    """Cosine similarity, −1 … 1."""


class Found(NamedTuple):
    """Similarities in one photo."""

    similarity: np.ndarray
    """(h, w) float32 cosine similarity, −1 … 1."""
    best: Match


def find_place(
    predictor: Predictor, predictions: Sequence[Prediction], pixel: tuple[int, int], *, level: str = BACKBONE
) -> list[Found]:
    """Search all photos, including the first, for the place at a pixel of the first photo.

    Args:
        pixel: (x, y); coordinates outside the photo are clipped to it.
        level: "backbone" for the features of all backbone stages, or the name of a stage of the head.
    Raises:
        UserError: unknown level.
    """
    stages = list(predictions[0].stages)
    if level not in (BACKBONE, *stages):
        raise UserError(
            "unknown-choice",
            f"Expected {BACKBONE} or a stage ({', '.join(stages)}), got {str(level)[:40]!r}; choose one of these.",
        )
    kept = [prediction.features for prediction in predictions]
    if level == BACKBONE:
        features = [one.tensors for one in kept]
    else:
        features = predictor.run(lambda used, all_kept: [[used.stage_features(one)[level]] for one in all_kept], kept)
    width, height = predictions[0].image.size
    x, y = min(max(pixel[0], 0), width - 1), min(max(pixel[1], 0), height - 1)
    vectors = place_vectors(features[0], ((x + 0.5) / width, (y + 0.5) / height))
    maps = [cosine_map(one, vectors) for one in features]
    return [
        Found(similarity, best_match(similarity, prediction.image.size))
        for similarity, prediction in zip(maps, predictions, strict=True)
    ]


@torch.inference_mode()
def place_vectors(features: Sequence[Tensor], place: tuple[float, float]) -> list[Tensor]:
    """Features at one place, interpolated bilinearly.

    Args:
        features: (1, C, h, w) tensors.
        place: (x, y) as shares of width and height, 0 … 1.
    Returns: a (C,) unit vector for each tensor.
    """
    # In grid_sample, −1 and 1 are the outer edges of the outer cells.
    grid = torch.tensor([[[[2 * place[0] - 1, 2 * place[1] - 1]]]])
    return [
        F.normalize(
            F.grid_sample(one.float(), grid.to(one.device), align_corners=False, padding_mode="border")[0, :, 0, 0],
            dim=0,
        )
        for one in features
    ]


@torch.inference_mode()
def cosine_map(features: Sequence[Tensor], vectors: Sequence[Tensor]) -> np.ndarray:
    """Cosine similarity of every place to the vectors, averaged over the feature tensors.

    Args:
        features: (1, C, h, w) tensors, finest grid first.
        vectors: a (C,) unit vector for each tensor.
    Returns: (h, w) float32 on the finest grid, −1 … 1.
    """
    finest = features[0].shape[-2:]
    maps = []
    for one, vector in zip(features, vectors, strict=True):
        # Interpolate features, not similarities: the maximum of those would stay at the centre of a coarse cell.
        enlarged = F.interpolate(one.float(), size=finest, mode="bilinear", align_corners=False)
        maps.append(torch.einsum("chw,c->hw", F.normalize(enlarged[0], dim=0), vector))
    mean: np.ndarray = torch.stack(maps).mean(dim=0).cpu().numpy()
    return mean


def best_match(similarity: np.ndarray, size: tuple[int, int]) -> Match:
    """The pixel at the centre of the most similar cell of an (h, w) map, for an image of (width, height)."""
    row, column = np.unravel_index(int(similarity.argmax()), similarity.shape)
    x = int((column + 0.5) / similarity.shape[1] * size[0])
    y = int((row + 0.5) / similarity.shape[0] * size[1])
    return Match(x, y, float(similarity[row, column]))
