"""Explicit Class Extraction (ECE), in our own design: the features under a mask become a class embedding.

The authors' release pools the mask logits themselves; no feature enters an embedding there. See `MaskExtraction` in
`ecenet/model/layers/release_parts.py`.
"""

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.common.errors import UserError

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

    The abstract's: embeddings are made of predicted masks at the final stage, by pooling over a spatial pyramid and a
    projection. Whether features or masks are pooled it does not tell. The grids 1, 2, 3, 6 are the authors' release's.

    Ours: that features are pooled, under masks after a softmax; the full grid beside the four; the mask's layers (norm
    and two 1×1 convolutions); that each class's weights are normalised jointly over the cells of all grids; and that
    the mask's peak joins the embedding: a mean alone cannot tell a class that is there from one that is nowhere, so the
    network would bend its masks into class codes.

    Ours, too, are the stand-ins: a mask that shows nothing has no class to make an embedding of, only what resembles it
    most, which is another class. A learned vector stands in for the embedding then, as far as the peak lacks of 1.
    Besides them nothing here knows which class is which; only the mask does.
    """

    def __init__(
        self,
        *,
        width: int,
        embed_dim: int,
        num_classes: int,
        pool_grids: tuple[int, ...],
        masks_only: bool,
        stand_ins: bool,
    ) -> None:
        """Args:
        pool_grids: empty for a plain masked mean.
        masks_only: leave out the projection, which nothing would train where embeddings are learned.
        stand_ins: have learned vectors for classes that masks do not show.
        """
        super().__init__()
        self.pool_grids = pool_grids
        self.masks_only = masks_only
        self.mask = nn.Sequential(
            LayerNorm2d(width), nn.Conv2d(width, width, 1), nn.GELU(), nn.Conv2d(width, num_classes, 1)
        )
        if not masks_only:
            self.project = nn.Linear(width, embed_dim)
            self.presence = nn.Linear(1, embed_dim, bias=False)
            self.norm = nn.LayerNorm(embed_dim)
        self.stand_ins = nn.Parameter(torch.empty(num_classes, embed_dim)) if stand_ins and not masks_only else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the stand-ins anew; all else resets itself."""
        if self.stand_ins is not None:
            nn.init.normal_(self.stand_ins)

    def predict_mask(self, features: Tensor) -> Tensor:
        """(B, D, h, w) → mask logits (B, K, h, w)."""
        return self.mask(features)

    def embed(self, features: Tensor, mask_probabilities: Tensor) -> Tensor:
        """Class embeddings of given masks, which need not be predicted ones.

        Args:
            features: (B, D, h, w).
            mask_probabilities: (B, K, h, w), 0 … 1.
        Returns: (B, K, D).
        Raises:
            UserError: the model's embeddings are learned ones.
        """
        # Sums over thousands of cells want fp32, whatever the autocast.
        with torch.autocast(features.device.type, enabled=False):
            pooled = masked_mean(
                pyramid_cells(features.float(), grids=self.pool_grids),
                pyramid_cells(mask_probabilities.float(), grids=self.pool_grids),
            )
            peak = mask_probabilities.float().flatten(2).amax(dim=2, keepdim=True)
        embeddings = self.project_pooled(pooled, peak)
        return embeddings if self.stand_ins is None else peak * embeddings + (1 - peak) * self.stand_ins

    def project_pooled(self, pooled: Tensor, peak: Tensor) -> Tensor:
        """Mean features under masks become embeddings, of whatever they are masks of: any region can have one.

        Args:
            pooled: (B, N, D).
            peak: (B, N, 1) each mask's highest value, 0 … 1.
        Returns: (B, N, D).
        Raises:
            UserError: the model's embeddings are learned ones.
        """
        if self.masks_only:
            raise UserError(
                "unsupported-by-weights",
                "Expected a model with explicit embeddings, got one with learned ones, which no mask can change; "
                "use weights whose config says embeddings: explicit.",
            )
        return self.norm(self.project(pooled) + self.presence(peak))
