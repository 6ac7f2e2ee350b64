"""Configurations of the models: frozen dataclasses whose field docstrings are the help texts of the command line."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from ecenet.common.errors import UserError
from ecenet.model.config_checks import (
    check_choices,
    check_dropout,
    check_heads,
    check_kinds,
    check_out_indices,
    check_vit_strides,
)

Architecture = Literal["ecenet", "ecenet-release", "segvit"]
Embeddings = Literal["explicit", "learned"]
Extraction = Literal["pyramid", "mean", "logits"]
Reconstruction = Literal["off", "joined", "added", "release"]
Attention = Literal["plain", "negated"]
Updater = Literal["off", "added", "gated", "gated_addition"]
UpdaterCandidate = Literal["own", "deepest"]


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of ECENet in our design, which is based on the paper's abstract, as are all defaults.
    `ReleaseConfig` is the authors' release.

    Raises a `UserError` for invalid values.
    """

    backbone: str = "mobilenetv2_100"
    """timm model that supports `features_only`."""
    out_indices: tuple[int, ...] = (1, 2, 3, 4)
    """timm feature indices, shallow to deep, with one SAU stage for each."""
    output_stride: int | None = 16
    """Largest stride of a CNN backbone (dilated beyond it); None does not change the backbone, as required for ViTs."""
    same_padding: bool = True
    """TensorFlow-style padding, as the included MobileNetV2 weights expect; other families ignore it."""
    position_side: int | None = None
    """Plain ViT: side in pixels of the square images that its position embeddings are for (interpolated for other
    sizes); None uses the size in the backbone's name."""
    vit_strides: tuple[int, ...] = ()
    """Plain ViT: strides (4, 8, 16 or 32) of the stages of a simple feature pyramid, one for each of `out_indices`;
    empty keeps the ViT's stride for all stages (ours)."""
    embed_dim: int = 192
    """D, the width of class embeddings."""
    taper: bool = True
    """Use narrower features at finer stages, which have more cells: D × stride / 16 below stride 16. False: D for all
    stages."""
    summed_masks: bool = True
    """Add each stage's similarity to the mask of the deeper stage, so that the last mask is the sum of all. False: each
    stage predicts an independent mask, and the final mask uses their mean."""
    ffn_ratio: float = 2.0
    """Hidden width of a stage's feed-forward network, as a multiple of the stage's width."""
    pool_grids: tuple[int, ...] = (1, 2, 3, 6)
    """Side lengths of the pyramid in ECE, in addition to the full grid. 1 2 3 6 are those of the authors' release,
    which pools mask logits; the full grid is ours."""
    embeddings: Embeddings = "explicit"
    """Ablation: source of the class embeddings. explicit: masks (from the abstract). learned: K learned vectors,
    independent of the image."""
    stand_ins: bool = True
    """Use K learned vectors in place of explicit embeddings of classes that are absent in the masks of ECE (ours)."""
    reconstruction: Reconstruction = "added"
    """Ablation: combination of the branches of Feature Reconstruction. added (ours): the sum of both, each of width D.
    joined (ours): concatenated, each of width D/2. release: that of the authors' release at the backbone's width, with
    its diversity loss, followed by a 1×1 convolution to D. off: a 1×1 convolution only."""
    extraction: Extraction = "pyramid"
    """Ablation: source of the first embeddings in ECE. pyramid (from the abstract): features under the masks, pooled
    over `pool_grids` and the full grid. mean: features under the masks, averaged over the full grid. logits: the logits
    of the coarse mask only, as in the authors' release, without `stand_ins`; classes cannot be painted then."""
    attention: Attention = "plain"
    """Ablation: attention of features to embeddings. plain (ours): softmax over classes of the scores s. negated: of
    max(s) − s, as in the authors' release, which gives the least similar classes the largest weights."""
    updater: Updater = "gated"
    """Ablation: update of the embeddings in SAU. gated: from the abstract, with a convex combination as our formula.
    added: without a gate. gated_addition: the formula of the authors' release, with our candidate (pooled features)
    instead of its embedding of the mask. off: no update."""
    gate_bias: float = 0.0
    """Added to the initial bias of the gates. If it is positive, training starts with about σ(gate_bias) of the old
    embedding kept. No effect without a gate (ours)."""
    candidate: UpdaterCandidate = "own"
    """Enhanced features that the updater pools under a stage's mask: those of the stage (own), or those of the deepest
    stage, which are the most semantic (ours)."""
    dropout: float = 0.0
    """Share of the backbone's channels that is dropped in training, for backbones that were trained on the same
    photos."""

    def __post_init__(self) -> None:
        check_kinds(
            self,
            ("backbone", (str,), "the name of a timm model"),
            ("out_indices", (list, tuple), "a list of feature indices"),
            ("output_stride", (int, type(None)), "8, 16, 32 or null"),
            ("same_padding", (bool,), "true or false"),
            ("position_side", (int, type(None)), "a number of pixels or null"),
            ("vit_strides", (list, tuple), "a list of strides"),
            ("embed_dim", (int,), "an even number of at least 2"),
            ("ffn_ratio", (int, float), "a positive number"),
            ("pool_grids", (list, tuple), "a list of side lengths"),
            ("taper", (bool,), "true or false"),
            ("summed_masks", (bool,), "true or false"),
            ("stand_ins", (bool,), "true or false"),
            ("gate_bias", (int, float), "a finite number"),
            ("dropout", (int, float), "at least 0 and below 1"),
        )
        check_choices(
            self,
            ("embeddings", Embeddings),
            ("reconstruction", Reconstruction),
            ("extraction", Extraction),
            ("attention", Attention),
            ("updater", Updater),
            ("candidate", UpdaterCandidate),
        )
        if not isfinite(self.gate_bias):
            raise UserError(
                "invalid-config",
                f"Expected gate_bias to be a finite number, got {self.gate_bias}; correct the config.",
            )
        check_out_indices(self.out_indices)
        if self.output_stride not in (None, 8, 16, 32):
            raise UserError(
                "invalid-config",
                f"Expected output_stride to be 8, 16, 32 or null (on the command line None), got {self.output_stride}; "
                "choose one of them.",
            )
        check_vit_strides(self.vit_strides, stages=len(self.out_indices))
        if self.position_side is not None and self.position_side < 1:
            raise UserError(
                "invalid-config",
                f"Expected position_side of at least 1 or null, got {self.position_side}; correct the config.",
            )
        if self.embed_dim < 2 or self.embed_dim % 2:
            raise UserError(
                "invalid-config",
                f"Expected embed_dim to be an even number of at least 2, got {self.embed_dim}; "
                "choose another value, since Feature Reconstruction may split it in two.",
            )
        check_dropout(self.dropout)
        if not self.embed_dim * self.ffn_ratio >= 1 or any(grid < 1 for grid in self.pool_grids):
            raise UserError(
                "invalid-config",
                f"Expected ffn_ratio × embed_dim and pool_grids of at least 1, "
                f"got {self.ffn_ratio} × {self.embed_dim} and {self.pool_grids}; correct the config.",
            )


@dataclass(frozen=True)
class ReleaseConfig:
    """Architecture of the authors' release of ECENet. The defaults are those of the release with Swin-B.

    Raises a `UserError` for invalid values.
    """

    backbone: str = "swin_base_patch4_window12_384"
    """timm model with four stages, each at half the resolution of the previous one, or a plain ViT. Append .ms_in22k
    for the Swin weights that the authors started from (ImageNet-22k, 384 pixels)."""
    out_indices: tuple[int, ...] = (0, 1, 2, 3)
    """Four timm feature indices, shallow to deep (1 2 3 4 for networks whose first features have stride 2). For a plain
    ViT one or four blocks, from which a simple feature pyramid makes four stages (ours)."""
    same_padding: bool = True
    """TensorFlow-style padding in MobileNets and EfficientNets; other families ignore it."""
    feature_norms: bool = False
    """LayerNorm over the channels of each backbone stage, as in the segmentation Swins of mmsegmentation and Microsoft,
    for converted checkpoints. It is not known whether the release has them."""
    embed_dim: int = 256
    """D, the width of laterals and class embeddings."""
    num_heads: int = 4
    """Number of heads of the semantics attention, and of groups of the coarse mask's first convolution."""
    dropout: float = 0.1
    """Share of channels that is dropped in training before the final classifier."""
    drop_path: float = 0.3
    """Stochastic depth of the backbone in training."""

    @property
    def embeddings(self) -> Embeddings:
        """Always explicit in the release."""
        return "explicit"

    @property
    def updater(self) -> Updater:
        """Always a gated addition in the release."""
        return "gated_addition"

    def __post_init__(self) -> None:
        check_kinds(
            self,
            ("backbone", (str,), "the name of a timm model"),
            ("out_indices", (list, tuple), "a list of feature indices"),
            ("same_padding", (bool,), "true or false"),
            ("feature_norms", (bool,), "true or false"),
            ("embed_dim", (int,), "a multiple of num_heads"),
            ("num_heads", (int,), "at least 1"),
            ("dropout", (int, float), "at least 0 and below 1"),
            ("drop_path", (int, float), "at least 0 and below 1"),
        )
        check_out_indices(self.out_indices)
        if len(self.out_indices) not in (1, 4):
            raise UserError(
                "invalid-config",
                f"Expected four out_indices for ecenet-release, or one block of a plain ViT, got {self.out_indices}; "
                "list four, shallow to deep.",
            )
        check_heads(self.embed_dim, num_heads=self.num_heads)
        check_dropout(self.dropout)
        check_dropout(self.drop_path, name="drop_path")


@dataclass(frozen=True)
class SegViTConfig:
    """Architecture of SegViT. The defaults are those of its authors' ViT-B. The last five fields add parts of our
    ECENet. ECENet's abstract says that its updater improves SegViT; how the two are combined is ours.

    Raises a `UserError` for invalid values.
    """

    backbone: str = "vit_base_patch16_384"
    """Plain ViT of timm. Append .augreg_in21k_ft_in1k for the pretrained weights that the authors started from."""
    out_indices: tuple[int, ...] = (5, 7, 11)
    """Blocks of the ViT, shallow to deep, with one stage for each."""
    position_side: int = 512
    """Side in pixels of the square images that the position embeddings are for (interpolated for other sizes)."""
    embed_dim: int = 384
    """D, the width of features and class embeddings in the head."""
    num_heads: int = 12
    """Number of attention heads."""
    num_layers: int = 3
    """Number of layers of each stage."""
    dropout: float = 0.1
    """Dropout in the head."""
    drop_path: float = 0.0
    """Stochastic depth of the ViT in training."""
    position_antialias: bool = True
    """Whether position embeddings are antialiased when they are interpolated to a smaller grid, as in timm. Checkpoints
    of SegViT's authors were trained without it."""
    embeddings: Embeddings = "learned"
    """learned: K learned vectors, independent of the image (SegViT). explicit: from the masks of ECE (our ECENet)."""
    stand_ins: bool = True
    """Use K learned vectors in place of explicit embeddings of classes that are absent in the masks of ECE."""
    pool_grids: tuple[int, ...] = (1, 2, 3, 6)
    """Side lengths of the pyramid in ECE, in addition to the full grid."""
    extraction: Extraction = "pyramid"
    """pyramid: pool over `pool_grids` and the full grid. mean: masked mean over the full grid. logits: the logits of
    the coarse mask only, without `stand_ins`, as in `ModelConfig`."""
    updater: Updater = "off"
    """Update of the embeddings after each stage: off (SegViT), added, gated (our ECENet), or gated_addition (the
    formula of the authors' release with our candidate)."""

    def __post_init__(self) -> None:
        check_kinds(
            self,
            ("backbone", (str,), "the name of a plain ViT of timm's"),
            ("out_indices", (list, tuple), "a list of block indices"),
            ("position_side", (int,), "a number of pixels"),
            ("embed_dim", (int,), "a multiple of num_heads"),
            ("num_heads", (int,), "at least 1"),
            ("num_layers", (int,), "at least 1"),
            ("dropout", (int, float), "at least 0 and below 1"),
            ("drop_path", (int, float), "at least 0 and below 1"),
            ("position_antialias", (bool,), "true or false"),
            ("pool_grids", (list, tuple), "a list of side lengths"),
            ("stand_ins", (bool,), "true or false"),
        )
        check_choices(self, ("embeddings", Embeddings), ("extraction", Extraction), ("updater", Updater))
        check_out_indices(self.out_indices)
        for name in ("position_side", "num_layers"):
            if getattr(self, name) < 1:
                raise UserError(
                    "invalid-config", f"Expected {name} of at least 1, got {getattr(self, name)}; correct the config."
                )
        check_heads(self.embed_dim, num_heads=self.num_heads)
        check_dropout(self.dropout)
        check_dropout(self.drop_path, name="drop_path")
        if any(grid < 1 for grid in self.pool_grids):
            raise UserError(
                "invalid-config", f"Expected pool_grids of at least 1, got {self.pool_grids}; correct the config."
            )


NetworkConfig = ModelConfig | ReleaseConfig | SegViTConfig
"""Configuration of any network."""
