"""Feature Reconstruction (FR) in our design, which makes backbone features more discriminative before embeddings are
computed from them.

The authors' release works at the backbone's width with branches of half of it, scales the channels of the diverse one,
and has another diversity loss; see `ReleaseReconstruction` in `ecenet/model/layers/release_parts.py`, which
`NarrowedReconstruction` uses in our design.
"""

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.model.config import Reconstruction
from ecenet.model.layers.release_parts import ReleaseReconstruction, position_diversity_loss


class TwoBranches(nn.Module):
    """Base class of all forms of Feature Reconstruction, which also return their two branches."""

    def diversity(self, intrinsic: Tensor, diverse: Tensor) -> Tensor:
        """Compute the diversity loss of the branches returned by `forward`; ours by default. Returns: ()."""
        return diversity_loss(intrinsic, diverse)


class FeatureReconstruction(TwoBranches):
    """Combination of two branches, intrinsic and diverse.

    From the abstract: an intrinsic and a diverse branch, so that features are both diverse and redundant, and a
    diversity loss. The layers are ours: the intrinsic branch is a 1×1 convolution to D, the diverse one a depthwise 3×3
    convolution of it (cheap, as in ghost features) with norm and GELU, which a 1×1 convolution adds.
    """

    def __init__(self, *, in_channels: int, width: int) -> None:
        super().__init__()
        self.intrinsic = nn.Conv2d(in_channels, width, 1)
        self.diverse = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), LayerNorm2d(width), nn.GELU()
        )
        self.combine = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, *, diversify: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Compute reconstructed, intrinsic and diverse features, each (B, D, h, w), from (B, C, h, w).

        Knock-out: without `diversify`, the diverse branch is zero.
        """
        intrinsic = self.intrinsic(features)
        diverse = self.diverse(intrinsic) if diversify else torch.zeros_like(intrinsic)
        return intrinsic + self.combine(diverse), intrinsic, diverse


class JoinedReconstruction(TwoBranches):
    """Two branches of D/2 channels each, combined by a 1×1 convolution. Ours, with worse results than
    `FeatureReconstruction`. The authors' release also combines halves by a 1×1 convolution, at the backbone's width and
    with other norms.

    No included weights use it, only the variant `joined-fr` of `ablate` and the presets of early runs.
    """

    def __init__(self, *, in_channels: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.intrinsic = nn.Sequential(nn.Conv2d(in_channels, half, 1, bias=False), LayerNorm2d(half), nn.GELU())
        self.diverse = nn.Conv2d(half, half, 3, padding=1, groups=half)
        self.combine = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, *, diversify: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the same as `FeatureReconstruction`, but intrinsic and diverse are (B, D/2, h, w)."""
        intrinsic = self.intrinsic(features)
        diverse = self.diverse(intrinsic) if diversify else torch.zeros_like(intrinsic)
        return self.combine(torch.cat([intrinsic, diverse], dim=1)), intrinsic, diverse


class NarrowedReconstruction(TwoBranches):
    """Feature Reconstruction of the authors' release at the backbone's width C, followed by a 1×1 convolution without
    bias to D, like the release's laterals."""

    def __init__(self, *, in_channels: int, width: int) -> None:
        super().__init__()
        self.reconstruct = ReleaseReconstruction(channels=in_channels)
        self.lateral = nn.Conv2d(in_channels, width, 1, bias=False)

    def forward(self, features: Tensor, *, diversify: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the same as `FeatureReconstruction`, but the second result is the reconstructed features at the
        backbone's width, (B, C, h, w), and the diverse ones are scaled, (B, C/2, h, w)."""
        reconstructed, diverse = self.reconstruct(features, diversify=diversify)
        return self.lateral(reconstructed), reconstructed, diverse

    def diversity(self, intrinsic: Tensor, diverse: Tensor) -> Tensor:
        """Compute `position_diversity_loss` of the diverse branch."""
        return position_diversity_loss(diverse)


def build_reconstruction(kind: Reconstruction, *, in_channels: int, width: int) -> nn.Module:
    """Build the module from a stage's C channels to its width D; a 1×1 convolution if Feature Reconstruction is off."""
    if kind == "off":
        return nn.Conv2d(in_channels, width, 1)
    if kind == "release":
        return NarrowedReconstruction(in_channels=in_channels, width=width)
    branches = FeatureReconstruction if kind == "added" else JoinedReconstruction
    return branches(in_channels=in_channels, width=width)


def diversity_loss(intrinsic: Tensor, diverse: Tensor) -> Tensor:
    """Compute the redundancy of the diverse branch; 0 if its channels are uncorrelated.

    From the abstract: that there is a diversity loss. The formula is ours; the authors' release compares the positions
    of the channels' maxima (`position_diversity_loss`). It is the mean squared spatial correlation, per image, between
    different channels of `diverse`, and between channels of `diverse` and `intrinsic`.

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
    """Normalise (B, C, h, w) to (B, C, h·w) with zero mean and unit length, so that inner products are correlations."""
    flat = features.float().flatten(2)
    return F.normalize(flat - flat.mean(dim=2, keepdim=True), dim=2, eps=1e-6)
