"""Find places in photos that look like a chosen place, by cosine similarity of features. Not from the paper.

The features of all backbone stages form one descriptor of a place (a hypercolumn, Hariharan et al. 2015): coarse stages
identify the object, fine stages its boundary. `embedding_match.py` searches for a class embedding instead of a place.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor

BACKBONE = "backbone"
COSINE_SCALE = (0.0, 1.0)
"""Limits of the colour scale for cosine similarities, the same for all queries so that results can be compared. Not
from the paper; negative values are shown as 0."""
SAMPLES = 8
"""Number of places per direction at which features are averaged in a box."""
Vectors = Callable[[Sequence[Tensor]], list[Tensor]]


class Match(NamedTuple):
    """The most similar place in a photo."""

    x: int
    """(x, y) pixel of the photo."""
    y: int
    value: float
    """Similarity at the place: a cosine, −1 … 1, or, for a class embedding, an unbounded score."""


class Found(NamedTuple):
    """Similarities in one photo."""

    similarity: np.ndarray
    """(h, w) float32 similarities."""
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
    place = _share(pixel, predictions[0].image.size)
    return _find(predictor, predictions, level, lambda features: place_vectors(features, place))


def find_box(
    predictor: Predictor, predictions: Sequence[Prediction], box: tuple[int, int, int, int], *, level: str = BACKBONE
) -> list[Found]:
    """Search all photos, including the first, for the content of a box in the first photo.

    Args:
        box: (x, y, x, y) of two opposite corners, inclusive; coordinates outside the photo are clipped to it.
        level: as for `find_place`.
    Raises:
        UserError: unknown level.
    """
    one, other = (_share(corner, predictions[0].image.size) for corner in (box[:2], box[2:]))
    return _find(predictor, predictions, level, lambda features: box_vectors(features, one, other))


def _share(pixel: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """(x, y) of a pixel's centre as shares of width and height."""
    x, y = ((min(max(place, 0), side - 1) + 0.5) / side for place, side in zip(pixel, size, strict=True))
    return x, y


def _find(predictor: Predictor, predictions: Sequence[Prediction], level: str, vectors_of: Vectors) -> list[Found]:
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
    vectors = vectors_of(features[0])
    return [
        found_in(cosine_map(one, vectors), prediction) for one, prediction in zip(features, predictions, strict=True)
    ]


def found_in(similarity: np.ndarray, prediction: Prediction) -> Found:
    """An (h, w) similarity map of a photo, with the most similar place."""
    return Found(similarity, best_match(similarity, prediction.image.size))


def place_vectors(features: Sequence[Tensor], place: tuple[float, float]) -> list[Tensor]:
    """Features at one place, interpolated bilinearly.

    Args:
        features: (1, C, h, w) tensors.
        place: (x, y) as shares of width and height, 0 … 1.
    Returns: a (C,) unit vector for each tensor.
    """
    return [one[:, 0] for one in _sampled(features, [place])]


@torch.inference_mode()
def box_vectors(features: Sequence[Tensor], corner: tuple[float, float], opposite: tuple[float, float]) -> list[Tensor]:
    """Mean direction of the features in a box, from `SAMPLES`² evenly spaced places.

    Args:
        features: (1, C, h, w) tensors.
        corner, opposite: (x, y) as shares of width and height, 0 … 1.
    Returns: a (C,) unit vector for each tensor.
    """
    shares = (np.arange(SAMPLES) + 0.5) / SAMPLES
    xs, ys = (one + (other - one) * shares for one, other in zip(corner, opposite, strict=True))
    places = [(float(x), float(y)) for y in ys for x in xs]
    return [F.normalize(one.mean(dim=1), dim=0) for one in _sampled(features, places)]


@torch.inference_mode()
def _sampled(features: Sequence[Tensor], places: Sequence[tuple[float, float]]) -> list[Tensor]:
    """(C, N) float32 unit columns at N places, for each tensor."""
    # In grid_sample, −1 and 1 are the outer edges of the outer cells.
    grid = 2 * torch.tensor(places)[None, None] - 1
    return [
        F.normalize(
            F.grid_sample(one.float(), grid.to(one.device), align_corners=False, padding_mode="border")[0, :, 0], dim=0
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
