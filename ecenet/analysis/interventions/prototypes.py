"""Prototype classification: a class is the mean feature of its examples, cells get the class of the nearest prototype.

As in PANet (Wang et al. 2019), but without training the features.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.analysis.interventions.regions import region_weights
from ecenet.model.layers.class_extraction import masked_mean


def mean_prototype(examples: Sequence[tuple[Tensor, np.ndarray]]) -> Tensor:
    """The mean over photos of the mean feature in each region, so that small and large regions count equally.

    Args:
        examples: (1, C, h, w) features, each with an (H, W) bool region of the photo; at least one.
    Returns: (C,) float32.
    Raises:
        UserError: a region is empty.
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
        feature: (B, C, h, w) features.
        prototypes: (P, C) prototypes.
    Returns: (B, P, h, w) float32 in −1 … 1.
    """
    unit = F.normalize(feature.float(), dim=1)
    return torch.einsum("pc,bchw->bphw", F.normalize(prototypes.float(), dim=1), unit)
