"""Explicit Class Extraction (ECE) in our design: class embeddings are computed from the features under a mask.

The authors' release pools the mask logits instead of features; see `MaskExtraction` in
`ecenet/model/layers/release_parts.py`, which `LogitsExtraction` uses in our design.
"""

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.model.config import Extraction
from ecenet.model.edits import logits_like, within_range
from ecenet.model.layers.release_parts import MaskExtraction

EPSILON = 1e-6


def masked_mean(features: Tensor, weights: Tensor) -> Tensor:
    """Compute the weighted mean of features for each class.

    Args:
        features: (B, D, ...) with any number of cells after the channel axis.
        weights: (B, K, ...) non-negative, over the same cells.
    Returns: (B, K, D); zeros for classes without weight.
    """
    weights = weights.flatten(2)
    weights = weights / weights.sum(dim=2, keepdim=True).clamp_min(EPSILON)
    return torch.einsum("bkn,bdn->bkd", weights, features.flatten(2))


def pyramid_cells(maps: Tensor, *, grids: tuple[int, ...]) -> Tensor:
    """Return the cells of the full grid and of its average-pooled g×g versions, (B, C, h, w) → (B, C, h·w + Σ g²)."""
    pooled = [F.adaptive_avg_pool2d(maps, grid).flatten(2) for grid in grids]
    return torch.cat([maps.flatten(2), *pooled], dim=2)


class ClassExtraction(nn.Module):
    """Coarse masks, pooling of features under them, and a projection: one embedding per class.

    From the abstract: embeddings are computed from predicted masks at the final stage by pooling over a spatial pyramid
    and a projection. It does not say whether features or masks are pooled. The grids 1, 2, 3, 6 are those of the
    authors' release.

    Ours: features are pooled, under masks after a softmax; the full grid is used in addition; the mask's layers are a
        norm
    and two 1×1 convolutions; each class's weights are normalised jointly over the cells of all grids; and the mask's
    peak is added to the embedding, since a mean alone does not distinguish present from absent classes, and the network
    would learn to encode classes in its masks.

    Also ours are the stand-ins: the mask of an absent class covers the most similar region, which belongs to another
    class. Its embedding is therefore blended with a learned vector, with weight 1 − peak. Except for the stand-ins,
    only the mask depends on the classes.
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
        """Create the layers.

        Args:
            pool_grids: empty for a masked mean over the full grid.
            masks_only: omit the projection, for learned embeddings.
            stand_ins: use learned vectors for absent classes.
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
        """Initialise the stand-ins; other layers initialise themselves."""
        if self.stand_ins is not None:
            nn.init.normal_(self.stand_ins)

    def predict_mask(self, features: Tensor) -> Tensor:
        """Predict mask logits, (B, D, h, w) → (B, K, h, w)."""
        return self.mask(features)

    def first_embeddings(self, features: Tensor, predicted: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Compute E_0 from the coarse mask or from a given one.

        Ours: no gradient flows back into the mask, so that it is trained by its own loss only and stays a mask.

        Args:
            features: (B, D, h, w).
            predicted: (B, K, h, w) logits of the coarse mask.
            given: (B, K, h, w) probabilities.
        Returns: (B, K, D).
        """
        return self.embed(features, predicted.softmax(dim=1).detach() if given is None else given)

    def embed(self, features: Tensor, mask_probabilities: Tensor) -> Tensor:
        """Compute class embeddings from masks.

        Args:
            features: (B, D, h, w).
            mask_probabilities: (B, K, h, w), 0 … 1.
        Returns: (B, K, D).
        Raises:
            UserError: the model's embeddings are learned ones.
        """
        # Sums over thousands of cells need fp32, regardless of autocast.
        with torch.autocast(features.device.type, enabled=False):
            pooled = masked_mean(
                pyramid_cells(features.float(), grids=self.pool_grids),
                pyramid_cells(mask_probabilities.float(), grids=self.pool_grids),
            )
            peak = mask_probabilities.float().flatten(2).amax(dim=2, keepdim=True)
        embeddings = self.project_pooled(pooled, peak)
        return embeddings if self.stand_ins is None else peak * embeddings + (1 - peak) * self.stand_ins

    def project_pooled(self, pooled: Tensor, peak: Tensor) -> Tensor:
        """Project mean features under masks of any regions to embeddings.

        Args:
            pooled: (B, N, D) mean features.
            peak: (B, N, 1) maximum of each mask, 0 … 1.
        Returns: (B, N, D).
        Raises:
            UserError: the model's embeddings are learned ones.
        """
        if self.masks_only:
            raise UserError(
                "unsupported-by-weights",
                "Expected a model with explicit embeddings, got one with learned ones, which do not depend on masks; "
                "use weights with embeddings: explicit in their config.",
            )
        return self.norm(self.project(pooled) + self.presence(peak))


class LogitsExtraction(ClassExtraction):
    """Embeddings computed from the logits of the coarse mask only, as in the authors' release.

    The pyramid of logits and its linear map are those of the release (`MaskExtraction`). Ours: the coarse mask without
    gradient, as in `ClassExtraction`, and the norm, since our attention has none for embeddings, unlike the release.
    There are no stand-ins.
    """

    def __init__(self, *, width: int, embed_dim: int, num_classes: int) -> None:
        super().__init__(
            width=width, embed_dim=embed_dim, num_classes=num_classes, pool_grids=(), masks_only=True, stand_ins=False
        )
        self.pyramid = MaskExtraction(num_classes=num_classes, embed_dim=embed_dim)
        self.norm = nn.LayerNorm(embed_dim)

    def first_embeddings(self, features: Tensor, predicted: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Compute E_0 as in `ClassExtraction.first_embeddings`, but independent of the features. The logits of a given
        mask are clipped to the range of the predicted ones."""
        logits = predicted.detach()
        if given is not None:
            logits = within_range(logits_like(logits, given), logits)
        return self.norm(self.pyramid(logits))

    def project_pooled(self, pooled: Tensor, peak: Tensor) -> Tensor:
        """Raise an error, since embeddings do not depend on features.

        Raises:
            UserError: always.
        """
        raise UserError(
            "unsupported-by-weights",
            "Expected a model with class embeddings computed from features, got one that uses mask logits; "
            "use weights with extraction: pyramid or mean in their config.",
        )


def build_extraction(
    kind: Extraction,
    *,
    width: int,
    embed_dim: int,
    num_classes: int,
    pool_grids: tuple[int, ...],
    masks_only: bool,
    stand_ins: bool,
) -> ClassExtraction:
    """Build the module for the coarse mask and, unless embeddings are learned, explicit embeddings; arguments as in
    `ClassExtraction`."""
    if kind == "logits" and not masks_only:
        return LogitsExtraction(width=width, embed_dim=embed_dim, num_classes=num_classes)
    return ClassExtraction(
        width=width,
        embed_dim=embed_dim,
        num_classes=num_classes,
        pool_grids=pool_grids if kind == "pyramid" else (),
        masks_only=masks_only,
        stand_ins=stand_ins,
    )
