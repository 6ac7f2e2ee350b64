"""The model's configuration: one frozen dataclass; every ablation is a field of it."""

from dataclasses import dataclass
from typing import Literal, get_args

from ecenet.errors import UserError

Embeddings = Literal["explicit", "learned"]
Extraction = Literal["pyramid", "mean"]
Updater = Literal["off", "added", "gated"]


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of an ECENet. The defaults are this project's, not the paper's.

    Raises `UserError` for values that no model can be built from.
    """

    backbone: str = "mobilenetv2_100"
    """Any timm model that supports `features_only`."""
    out_indices: tuple[int, ...] = (1, 2, 3, 4)
    """timm feature indices, shallow to deep; one SAU stage each."""
    output_stride: int | None = 16
    """Largest stride of a CNN backbone (dilated beyond it); None leaves the backbone as it is, as ViTs need."""
    same_padding: bool = True
    """TensorFlow-style padding, as the MobileNetV2 weights trained here expect; only for backbones that know `pad_type`."""
    embed_dim: int = 96
    """D, the width of features and class embeddings in the head."""
    ffn_ratio: float = 2.0
    """Hidden width of a stage's feed-forward network, as a multiple of D."""
    pool_grids: tuple[int, ...] = (1, 2, 3, 6)
    """Side lengths of the pyramid that ECE joins with the full grid."""
    embeddings: Embeddings = "explicit"
    """Ablation. explicit: class embeddings come from masks (the paper). learned: K content-blind vectors."""
    reconstruction: bool = True
    """Ablation. Feature Reconstruction's two branches, or a plain 1×1 convolution."""
    extraction: Extraction = "pyramid"
    """Ablation. pyramid: pool over `pool_grids` and the full grid. mean: plain masked mean over the full grid."""
    updater: Updater = "gated"
    """Ablation. How SAU rewrites the embeddings: gated (the paper), added, or off."""

    def __post_init__(self) -> None:
        # JSON brings lists; the fields are tuples.
        object.__setattr__(self, "out_indices", tuple(self.out_indices))
        object.__setattr__(self, "pool_grids", tuple(self.pool_grids))
        for name, allowed in (("embeddings", Embeddings), ("extraction", Extraction), ("updater", Updater)):
            value = getattr(self, name)
            if value not in get_args(allowed):
                choices = ", ".join(get_args(allowed))
                raise UserError(f"Expected {name} to be one of {choices}, got {value!r}; choose one of them.")
        if not self.out_indices or list(self.out_indices) != sorted(set(self.out_indices)):
            raise UserError(
                f"Expected out_indices to be increasing feature indices, got {self.out_indices}; "
                "list each index once, shallow to deep."
            )
        if self.embed_dim < 2 or self.embed_dim % 2:
            raise UserError(
                f"Expected embed_dim to be an even number of at least 2, got {self.embed_dim}; "
                "Feature Reconstruction splits it in two."
            )
        if self.ffn_ratio <= 0 or any(grid < 1 for grid in self.pool_grids):
            raise UserError(
                f"Expected a positive ffn_ratio and pool_grids of at least 1, "
                f"got {self.ffn_ratio} and {self.pool_grids}; correct the config."
            )
