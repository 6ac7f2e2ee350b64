"""A simple feature pyramid, as in ViTDet (Li et al. 2022), which makes several stages from the grid of a plain ViT.
Ours."""

from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.model.backbone import Backbone

PATCH = 16
"""Image pixels per cell of the ViT's grid."""
FOUR_STRIDES = (4, 8, 16, 32)
"""Strides of the usual four stages."""


class ViTPyramid(nn.Module):
    """Stages of strides 4 to 32 from features of stride 16, by transposed convolutions and pooling.

    Args:
        width: channels of the ViT's features.
        strides: stride of each stage, 4, 8, 16 or 32, shallow to deep.
    Attributes:
        channels: channels of each stage: a quarter of the ViT's at stride 4, half at 8, all from 16 on.
        strides: image pixels per cell of each stage.
    """

    def __init__(self, *, width: int, strides: tuple[int, ...] = FOUR_STRIDES) -> None:
        super().__init__()
        self.strides = list(strides)
        self.channels = [width * min(stride, PATCH) // PATCH for stride in strides]
        self.levels = nn.ModuleList(_level(width, stride) for stride in strides)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Compute (B, C, h·16/stride, w·16/stride) features of each stage.

        Args:
            features: one (B, width, h, w) map for all stages, or one for each stage, shallow to deep. h and w must be
                even if a stage has stride 32.
        """
        features = features * len(self.levels) if len(features) == 1 else features
        return [level(feature) for level, feature in zip(self.levels, features, strict=True)]


def _level(width: int, stride: int) -> nn.Module:
    half, quarter = width // 2, width // 4
    if stride == 4:
        return nn.Sequential(
            nn.ConvTranspose2d(width, half, 2, stride=2),
            LayerNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )
    if stride == 8:
        return nn.ConvTranspose2d(width, half, 2, stride=2)
    return nn.Identity() if stride == PATCH else nn.MaxPool2d(2)


def fits_pyramid(backbone: Backbone) -> bool:
    """Return whether all features of a backbone have stride 16 and the same width, a multiple of 16, as in a plain
    ViT."""
    width = backbone.channels[0]
    return set(backbone.strides) == {PATCH} and set(backbone.channels) == {width} and width % PATCH == 0


def build_vit_pyramid(backbone: Backbone, *, name: str, strides: tuple[int, ...]) -> ViTPyramid:
    """Build the pyramid for a plain ViT, and set the backbone's size divisor to the largest stride.

    Raises:
        UserError: the backbone is not a ViT with a single grid of stride 16, or its channels are not a multiple of 16.
    """
    if not fits_pyramid(backbone):
        raise UserError(
            "unsuitable-backbone",
            f"Expected a plain ViT with patches of {PATCH} pixels for a feature pyramid, got {name} with strides "
            f"{', '.join(map(str, backbone.strides))}; leave vit_strides empty or choose another backbone.",
        )
    backbone.size_divisor = max(PATCH, *strides)
    return ViTPyramid(width=backbone.channels[0], strides=strides)
