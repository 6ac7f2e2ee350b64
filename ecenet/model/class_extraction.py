"""Explicit Class Extraction (ECE): a mask becomes a class embedding."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-6


def masked_mean(features: Tensor, weights: Tensor) -> Tensor:
    """Mean feature under each class's weights.

    Args:
        features: (B, D, ...) with any number of cells after the channel axis.
        weights: (B, K, ...) non-negative, over the same cells.
    Returns: (B, K, D). A class without any weight gets zeros.
    """
    weights = weights.flatten(2)
    weights = weights / weights.sum(dim=2, keepdim=True).clamp_min(EPSILON)
    return torch.einsum("bkn,bdn->bkd", weights, features.flatten(2))


def pyramid_cells(maps: Tensor, *, grids: tuple[int, ...]) -> Tensor:
    """(B, C, h, w) → (B, C, h·w + Σ g²): the full grid followed by its average-pooled g×g versions."""
    pooled = [F.adaptive_avg_pool2d(maps, grid).flatten(2) for grid in grids]
    return torch.cat([maps.flatten(2), *pooled], dim=2)


class ClassExtraction(nn.Module):
    """Predict coarse masks, pool features under them, project: one embedding per class.

    Masks, pyramid pooling under them and the projection are the paper's. Ours: the grids, and that each class's
    weights are normalised jointly over the cells of all grids.
    """

    def __init__(self, *, embed_dim: int, num_classes: int, pool_grids: tuple[int, ...]) -> None:
        super().__init__()
        self.pool_grids = pool_grids
        """Empty for a plain masked mean."""
        self.mask = nn.Conv2d(embed_dim, num_classes, 1)
        self.project = nn.Linear(embed_dim, embed_dim)
        self.norm = nn.LayerNorm(embed_dim)

    def predict_mask(self, features: Tensor) -> Tensor:
        """(B, D, h, w) → mask logits (B, K, h, w)."""
        return self.mask(features)

    def embed(self, features: Tensor, mask_probabilities: Tensor) -> Tensor:
        """Class embeddings of given masks, which need not be predicted ones: any region can become an embedding.

        Args:
            features: (B, D, h, w).
            mask_probabilities: (B, K, h, w), non-negative.
        Returns: (B, K, D).
        """
        # Sums over thousands of cells want fp32, whatever the autocast.
        with torch.autocast(features.device.type, enabled=False):
            pooled = masked_mean(
                pyramid_cells(features.float(), grids=self.pool_grids),
                pyramid_cells(mask_probabilities.float(), grids=self.pool_grids),
            )
        return self.norm(self.project(pooled))
