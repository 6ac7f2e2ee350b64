"""Prototypes by averaging: a class is the mean feature of its examples, a cell goes to the nearest by cosine.

As PANet does it (Wang et al. 2019), but for its training: whatever features are given stay as they are.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.analysis.interventions.regions import region_weights
from ecenet.model.layers.class_extraction import masked_mean


def mean_prototype(examples: Sequence[tuple[Tensor, np.ndarray]]) -> Tensor:
    """The mean over photos of each photo's mean feature under its region: a small region counts as much as a large one.

    Args:
        examples: (1, C, h, w) features, and an (H, W) bool region of that photo; at least one.
    Returns: (C,) float32.
    Raises:
        UserError: a region without a pixel.
    """
    means = []
    for feature, region in examples:
        size, grid = (region.shape[1], region.shape[0]), (feature.shape[-2], feature.shape[-1])
        weights = torch.from_numpy(region_weights(region, size=size, grid=grid).weights).to(feature.device)
        means.append(masked_mean(feature.float(), weights[None, None])[0, 0])
    return torch.stack(means).mean(dim=0)


def cosine_maps(feature: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine similarity of every cell to every prototype.

    Args:
        feature: (B, C, h, w).
        prototypes: (P, C).
    Returns: (B, P, h, w) float32 in −1 … 1.
    """
    unit = F.normalize(feature.float(), dim=1)
    return torch.einsum("pc,bchw->bphw", F.normalize(prototypes.float(), dim=1), unit)
