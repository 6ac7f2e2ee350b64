"""Four stages from a plain ViT's one grid: a simple feature pyramid, as ViTDet has it (Li et al. 2022). Ours."""

from timm.layers import LayerNorm2d
from torch import Tensor, nn

STRIDES = [4, 8, 16, 32]
"""Image pixels per cell of the four stages."""


class ViTPyramid(nn.Module):
    """Strides 4, 8, 16 and 32 from features of stride 16, by transposed convolutions and pooling.

    Attributes:
        channels: C of each stage, shallow to deep: a quarter, a half, all and all of the ViT's width.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.channels = [quarter, half, width, width]
        self.levels = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(width, half, 2, stride=2),
                    LayerNorm2d(half),
                    nn.GELU(),
                    nn.ConvTranspose2d(half, quarter, 2, stride=2),
                ),
                nn.ConvTranspose2d(width, half, 2, stride=2),
                nn.Identity(),
                nn.MaxPool2d(2),
            ]
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """One or four (B, width, h, w) maps, h and w even → four stages at 4h×4w, 2h×2w, h×w and h/2×w/2.

        Of four, which come from shallow to deep blocks, each makes the stage of its place; one makes all.
        """
        features = features * len(self.levels) if len(features) == 1 else features
        return [level(feature) for level, feature in zip(self.levels, features, strict=True)]
