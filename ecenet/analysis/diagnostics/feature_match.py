"""Where in other photos something like one place of a photo is: cosine similarity of features. Ours.

The backbone's stages are joined into one descriptor of a place (a hypercolumn, Hariharan et al. 2015): coarse stages
tell what it is, fine ones where it ends.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Match(NamedTuple):
    """The place of a photo that is most similar."""

    x: int
    """Pixel of the photo."""
    y: int
    cosine: float
    """−1 … 1."""


@torch.inference_mode()
def place_vectors(features: Sequence[Tensor], place: tuple[float, float]) -> list[Tensor]:
    """The features at one place, interpolated bilinearly.

    Args:
        features: (1, C, h, w) each.
        place: (x, y) as shares of width and height, 0 … 1.
    Returns: (C,) of each, of length 1.
    """
    # grid_sample's −1 … 1 are the outer edges of the outer cells.
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
    """Cosine similarity of every place with the vectors, the mean over several kinds of features.

    Args:
        features: (1, C, h, w) each, the finest grid first.
        vectors: (C,) of each, of length 1.
    Returns: (h, w) float32 on the finest grid, −1 … 1.
    """
    finest = features[0].shape[-2:]
    maps = []
    for one, vector in zip(features, vectors, strict=True):
        # Features rather than their similarity, whose highest value would stay in the middle of a coarse cell.
        enlarged = F.interpolate(one.float(), size=finest, mode="bilinear", align_corners=False)
        maps.append(torch.einsum("chw,c->hw", F.normalize(enlarged[0], dim=0), vector))
    mean: np.ndarray = torch.stack(maps).mean(dim=0).cpu().numpy()
    return mean


def best_match(similarity: np.ndarray, size: tuple[int, int]) -> Match:
    """The pixel at the centre of the most similar cell of an (h, w) map, in an image of (width, height)."""
    row, column = np.unravel_index(int(similarity.argmax()), similarity.shape)
    x = int((column + 0.5) / similarity.shape[1] * size[0])
    y = int((row + 0.5) / similarity.shape[0] * size[1])
    return Match(x, y, float(similarity[row, column]))
