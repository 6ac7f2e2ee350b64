"""Feature Reconstruction (FR), in our own design: make backbone features discriminative before embeddings are taken
from them.

The authors' release works at the backbone's width with branches of half of it, scales the channels of the diverse one,
and has another diversity loss: see `ReleaseReconstruction` in `ecenet/model/layers/release_parts.py`.
"""

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.model.config import Reconstruction


class FeatureReconstruction(nn.Module):
    """Two branches, intrinsic and diverse, combined.

    The abstract's: an intrinsic and a diverse branch, so that features are diverse and redundant at once, and a
    diversity loss. The layers are ours: intrinsic is a 1×1 convolution to D, diverse a depthwise 3×3 on top of it
    (cheap, as in ghost features), normed and bent; a 1×1 convolution adds it.
    """

    def __init__(self, *, in_channels: int, width: int) -> None:
        super().__init__()
        self.intrinsic = nn.Conv2d(in_channels, width, 1)
        self.diverse = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), LayerNorm2d(width), nn.GELU()
        )
        self.combine = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, *, diversify: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, h, w) → reconstructed, intrinsic, diverse, each (B, D, h, w).

        Without `diversify` the diverse branch is all zeros: a knock-out.
        """
        intrinsic = self.intrinsic(features)
        diverse = self.diverse(intrinsic) if diversify else torch.zeros_like(intrinsic)
        return intrinsic + self.combine(diverse), intrinsic, diverse


class JoinedReconstruction(nn.Module):
    """Both branches in the room of one: each has D/2 channels, joined by a 1×1 convolution. Ours, too; measured to be
    worse. Halves joined by a 1×1 convolution are what the authors' release has as well, at the backbone's width and
    with other norms.

    No shipped weights use it; `ablate`'s variant `joined-fr` and the recipes of early runs do.
    """

    def __init__(self, *, in_channels: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.intrinsic = nn.Sequential(nn.Conv2d(in_channels, half, 1, bias=False), LayerNorm2d(half), nn.GELU())
        self.diverse = nn.Conv2d(half, half, 3, padding=1, groups=half)
        self.combine = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, *, diversify: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """As `FeatureReconstruction`, but for intrinsic and diverse: (B, D/2, h, w)."""
        intrinsic = self.intrinsic(features)
        diverse = self.diverse(intrinsic) if diversify else torch.zeros_like(intrinsic)
        return self.combine(torch.cat([intrinsic, diverse], dim=1)), intrinsic, diverse


def build_reconstruction(kind: Reconstruction, *, in_channels: int, width: int) -> nn.Module:
    """What takes a stage's C channels to its width D; a plain 1×1 convolution if Feature Reconstruction is off."""
    if kind == "off":
        return nn.Conv2d(in_channels, width, 1)
    branches = FeatureReconstruction if kind == "added" else JoinedReconstruction
    return branches(in_channels=in_channels, width=width)


def diversity_loss(intrinsic: Tensor, diverse: Tensor) -> Tensor:
    """How redundant the diverse branch is; 0 when its channels correlate with nothing.

    The abstract's: that there is a diversity loss. The formula is ours; the authors' release compares the positions
    that channels look at (`position_diversity_loss`). Mean squared correlation over space, per image: between different
    channels of `diverse`, and of each with every channel of `intrinsic`.

    Args:
        intrinsic, diverse: (B, C, h, w).
    Returns: () in [0, 2], the sum of the two means.
    """
    a, b = _standardise(diverse), _standardise(intrinsic)
    within = torch.einsum("bcn,bdn->bcd", a, a)
    across = torch.einsum("bcn,bdn->bcd", a, b)
    channels = within.shape[1]
    off_diagonal = within - torch.diag_embed(torch.diagonal(within, dim1=1, dim2=2))
    pairs = max(channels * (channels - 1), 1)
    return off_diagonal.square().sum(dim=(1, 2)).mean() / pairs + across.square().mean()


def _standardise(features: Tensor) -> Tensor:
    """(B, C, h, w) → (B, C, h·w) of zero mean and unit length, so that inner products are correlations."""
    flat = features.float().flatten(2)
    return F.normalize(flat - flat.mean(dim=2, keepdim=True), dim=2, eps=1e-6)
