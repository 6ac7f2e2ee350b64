"""What a model is built from: frozen dataclasses whose fields explain themselves on the command line."""

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
    """Architecture of an ECENet in our own design, made from the paper's abstract. So are all defaults; `ReleaseConfig`
    is the authors' release.

    Raises `UserError` for values that no model can be built from.
    """

    backbone: str = "mobilenetv2_100"
    """Any timm model that supports `features_only`."""
    out_indices: tuple[int, ...] = (1, 2, 3, 4)
    """timm feature indices, shallow to deep; one SAU stage each."""
    output_stride: int | None = 16
    """Largest stride of a CNN backbone (dilated beyond it); None leaves the backbone as it is, as ViTs need."""
    same_padding: bool = True
    """TensorFlow-style padding, as the MobileNetV2 weights trained here expect; other families ignore it."""
    position_side: int | None = None
    """Of a plain ViT: side in pixels of the square images that its position embeddings are made for (between, they are
    interpolated); None leaves the size that the backbone's name says."""
    vit_strides: tuple[int, ...] = ()
    """Of a plain ViT: strides (4, 8, 16 or 32) of the stages that a simple feature pyramid makes of its blocks, one for
    each of `out_indices`; empty leaves all stages at the ViT's own stride. Ours."""
    embed_dim: int = 192
    """D, the width of class embeddings."""
    taper: bool = True
    """Narrower features at finer stages, where cells are many: D × stride / 16 below stride 16. False: D everywhere."""
    summed_masks: bool = True
    """Each stage's similarity is added to the mask of the deeper one: masks are refined, and the last one holds them
    all. False: each stage makes its mask anew, and the final mask has their mean."""
    ffn_ratio: float = 2.0
    """Hidden width of a stage's feed-forward network, as a multiple of the stage's width."""
    pool_grids: tuple[int, ...] = (1, 2, 3, 6)
    """Side lengths of the pyramid that ECE joins with the full grid. 1 2 3 6 are those of the authors' release, which
    pools mask logits to them; the full grid is ours."""
    embeddings: Embeddings = "explicit"
    """Ablation. explicit: class embeddings come from masks (the abstract's). learned: K content-blind vectors."""
    stand_ins: bool = True
    """K learned vectors stand in for explicit embeddings of classes that ECE's masks do not show. Ours."""
    reconstruction: Reconstruction = "added"
    """Ablation. How Feature Reconstruction combines its branches. added (ours): the diverse one to the intrinsic one,
    each D wide. joined (ours): side by side, each D/2 wide. release: the authors' release's, at the backbone's width,
    with its diversity loss; a 1×1 convolution takes the result to D. off: a plain 1×1 convolution instead."""
    extraction: Extraction = "pyramid"
    """Ablation. What ECE makes the first embeddings of. pyramid (the abstract's): features under the masks, pooled over
    `pool_grids` and the full grid. mean: features under the masks, a plain mean over the full grid. logits: the coarse
    mask's logits alone, as in the authors' release, without `stand_ins`; no class can be painted then."""
    attention: Attention = "plain"
    """Ablation. What features read from the embeddings. plain (ours): a softmax over classes of their scores s.
    negated: of max(s) − s, as in the authors' release, so that they read most from the classes that fit least."""
    updater: Updater = "gated"
    """Ablation. How SAU rewrites the embeddings. gated (the abstract's; the formula, a convex mix, is ours). added:
    without a gate. gated_addition: the authors' release's formula, with our candidate (pooled features) in the place of
    its embedding of the mask. off: not at all."""
    gate_bias: float = 0.0
    """Added to the gates' initial bias, so that training begins with most of the old embedding kept where it is
    positive: about σ(gate_bias) of it. Without a gate it has no effect. Ours."""
    candidate: UpdaterCandidate = "own"
    """Which enhanced features the updater pools under a stage's mask: the stage's own, or those of the deepest stage,
    which have the most semantics. Ours."""
    dropout: float = 0.0
    """Share of the backbone's channels that training drops: for a backbone that has seen the training photos before."""

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
                "choose another, since Feature Reconstruction may split it in two.",
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
    """Architecture of ECENet as its authors released it. The defaults are the release's, with its Swin-B.

    Raises `UserError` for values that no model can be built from.
    """

    backbone: str = "swin_base_patch4_window12_384"
    """Any timm model with four stages, each at half the resolution of the one before, or a plain ViT; add
    .ms_in22k for Swin weights from ImageNet-22k at 384 pixels, as the authors began with."""
    out_indices: tuple[int, ...] = (0, 1, 2, 3)
    """Four timm feature indices, shallow to deep (1 2 3 4 for networks whose first features have stride 2). Of a plain
    ViT one or four blocks, of which a simple feature pyramid makes the four stages (ours)."""
    same_padding: bool = True
    """TensorFlow-style padding in MobileNets and EfficientNets; other families ignore it."""
    feature_norms: bool = False
    """LayerNorm over the channels of each backbone stage, as segmentation Swins of mmsegmentation and Microsoft have;
    for converted checkpoints. Whether the release has them is not known."""
    embed_dim: int = 256
    """D, the width of laterals and class embeddings."""
    num_heads: int = 4
    """Of the semantics attention, and groups of the coarse mask's first convolution."""
    dropout: float = 0.1
    """Share of channels that training drops before the final classifier."""
    drop_path: float = 0.3
    """Stochastic depth of the backbone in training."""

    @property
    def embeddings(self) -> Embeddings:
        """They come from masks: the release has no other kind."""
        return "explicit"

    @property
    def updater(self) -> Updater:
        """A gated addition: the release has no other kind."""
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
                f"Expected out_indices of the four stages of ecenet-release, or one block of a plain ViT, "
                f"got {self.out_indices}; list four, shallow to deep.",
            )
        check_heads(self.embed_dim, num_heads=self.num_heads)
        check_dropout(self.dropout)
        check_dropout(self.drop_path, name="drop_path")


@dataclass(frozen=True)
class SegViTConfig:
    """Architecture of a SegViT. The defaults are those of its authors' ViT-B; the last five fields are what our ECENet
    puts into it. ECENet's abstract says that its updater improves SegViT, not how the two are joined: that is ours.

    Raises `UserError` for values that no model can be built from.
    """

    backbone: str = "vit_base_patch16_384"
    """A plain ViT of timm's; add .augreg_in21k_ft_in1k for the pretrained weights that the authors began with."""
    out_indices: tuple[int, ...] = (5, 7, 11)
    """Blocks of the ViT, shallow to deep; one stage each."""
    position_side: int = 512
    """Side in pixels of the square images that the position embeddings are made for; in between they are
    interpolated."""
    embed_dim: int = 384
    """D, the width of features and class embeddings in the head."""
    num_heads: int = 12
    """Of the head's attention."""
    num_layers: int = 3
    """Layers of each stage."""
    dropout: float = 0.1
    """Within the head, in training."""
    drop_path: float = 0.0
    """Stochastic depth of the ViT in training."""
    position_antialias: bool = True
    """Whether position embeddings are smoothed where they are interpolated to a smaller grid, as timm does. Checkpoints
    of SegViT's authors were trained without."""
    embeddings: Embeddings = "learned"
    """learned: K content-blind vectors (SegViT). explicit: they come from ECE's masks (our ECENet)."""
    stand_ins: bool = True
    """K learned vectors stand in for explicit embeddings of classes that ECE's masks do not show."""
    pool_grids: tuple[int, ...] = (1, 2, 3, 6)
    """Side lengths of the pyramid that ECE joins with the full grid."""
    extraction: Extraction = "pyramid"
    """pyramid: pool over `pool_grids` and the full grid. mean: plain masked mean over the full grid. logits: the
    coarse mask's logits alone, without `stand_ins`, as for `ModelConfig`."""
    updater: Updater = "off"
    """How each stage's mask rewrites the embeddings: off (SegViT), added, gated (our ECENet), or gated_addition (the
    authors' release's formula on our candidate)."""

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
"""What a network is built from, whichever it is."""
