"""The settings of a training: frozen dataclasses, a group for each concern, whose fields explain themselves on the
command line.

The command line has no groups: every field is an option of its own name (`--lr`, `--crop-size`), but for those of
the authors' release and of SegViT, which have a prefix (`--release.embed-dim`, `--segvit.embed-dim`).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.model.config import Architecture, ModelConfig, NetworkConfig, ReleaseConfig, SegViTConfig

LossTerms = Literal["ecenet", "release", "segvit"]
StageLoss = Literal["cross_entropy", "dice_focal"]
Schedule = Literal["poly", "cosine"]
Precision = Literal["auto", "bf16", "fp32"]
HALF: dict[Precision, bool | None] = {"auto": None, "bf16": True, "fp32": False}
"""Of each precision, for `Predictor`."""

LONGEST_WARMUP, LONGEST_REST = 200, 3000
"""Steps of the warm-up, and for which the backbone rests, where the settings leave them open and the run is long."""

Rule = tuple[str, bool, str]
"""A field's name, whether its value can be used, and what was expected of it."""


def _check(
    settings: object, rules: list[Rule], *, at_least_0: tuple[str, ...] = (), at_least_1: tuple[str, ...] = ()
) -> None:
    """Raises:
    UserError: names the first field whose value cannot be used.
    """
    rules = rules + [(name, getattr(settings, name) >= 1, "at least 1") for name in at_least_1]
    rules += [(name, 0 <= getattr(settings, name) < float("inf"), "0 or more") for name in at_least_0]
    for name, fits, wanted in rules:
        if not fits:
            raise UserError(
                "out-of-range", f"Expected {name} to be {wanted}, got {getattr(settings, name)}; correct the option."
            )


@dataclass(frozen=True)
class DataConfig:
    """Which photos are trained on and validated, and how batches are made of them."""

    folder: Annotated[Path, tyro.conf.arg(name="data")]
    """Folder of the data set."""
    layout: Layout = "folder"
    """How the data lies there: `images/<split>`, `masks/<split>` and `classes.json`, or as its publisher has it."""
    train_split: str = "train"
    val_split: str = "val"
    image_size: int = 512
    """Longest side in pixels at which images are trained on (before scaling) and predicted."""
    crop_size: int = 384
    """Side of the square training crops, a multiple of 32, or of a ViT's patches."""
    scale: tuple[float, float] = (0.5, 1.75)
    """Random scaling, relative to `image_size`."""
    color: float = 0.4
    """Strength of the jitter of brightness, contrast, saturation and hue, 0 … 1."""
    paste: float = 0.0
    """Share of samples that get a rare class's region of another image pasted over them."""
    class_sampling: float = 0.5
    """Half of the images are drawn by class: a class with its image count to this power as weight. 0 draws all classes
    alike."""
    workers: int = 1
    """Processes that load images."""

    def __post_init__(self) -> None:
        low, high = self.scale
        rules: list[Rule] = [
            ("scale", 0 < low <= high, "two positive numbers, the smaller first"),
            ("color", 0 <= self.color <= 1, "between 0 and 1"),
            ("paste", 0 <= self.paste <= 1, "between 0 and 1"),
        ]
        _check(self, rules, at_least_0=("class_sampling", "workers"), at_least_1=("image_size",))


@dataclass(frozen=True)
class StartConfig:
    """What the weights and the normalisation of images start from."""

    start_from: str | None = None
    """Weights to go on from (name, folder or Hub id); with other classes, all but the layer that tells them apart."""
    backbone_weights: Path | None = None
    """safetensors file for the backbone, timm's or a checkpoint's `model.safetensors`; without it timm's pretrained
    weights are downloaded."""
    pretrained: bool = True
    """Whether to fetch timm's weights where no file is given."""
    image_mean: tuple[float, float, float] | None = None
    """Of RGB values in 0 … 1; by default what timm's weights expect, or 0.5 where the backbone comes otherwise."""
    image_std: tuple[float, float, float] | None = None
    """As `image_mean`."""

    def __post_init__(self) -> None:
        _check(self, [("image_std", self.image_std is None or min(self.image_std) > 0, "positive")])


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights move: learning rates and their course, what rests, and the moving average."""

    lr: float = 1e-3
    """Peak learning rate of the head (AdamW)."""
    backbone_lr: float = 4e-5
    layer_decay: float = 1.0
    """Factor on the backbone's learning rate for each layer further from the head (ViTs: 0.65 to 0.9)."""
    schedule: Schedule = "poly"
    """How the learning rate falls to 0 after the warm-up; poly has power 0.9."""
    warmup_steps: int | None = None
    """Over which the learning rate rises; by default a tenth of all steps, at most 200."""
    weight_decay: float = 0.01
    clip_grad: float = 1.0
    """Largest norm of a step's gradient."""
    frozen_steps: int | None = None
    """The backbone learns only after so many steps; until then a step costs less than half. By default half of all
    steps, at most 3000, and none where the backbone is random."""
    frozen_stages: int = 0
    """So many leading backbone stages of `out_indices` never learn: the shallowest cost the most."""
    frozen_batch_norm: bool = True
    """Keep the backbone's batch-norm statistics: small batches would spoil pretrained ones. Scales and biases learn.
    The statistics of a random backbone always learn."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is validated and saved."""

    def __post_init__(self) -> None:
        rules: list[Rule] = [
            ("layer_decay", 0 < self.layer_decay <= 1, "above 0 and at most 1"),
            ("clip_grad", self.clip_grad > 0, "positive"),
            ("ema", 0 <= self.ema < 1, "at least 0 and below 1"),
        ]
        given = [name for name in ("warmup_steps", "frozen_steps") if getattr(self, name) is not None]
        _check(self, rules, at_least_0=("lr", "backbone_lr", "weight_decay", *given))


@dataclass(frozen=True)
class LossConfig:
    """What is minimised; `ecenet/training/losses/segmentation.py` has the terms."""

    terms: Annotated[LossTerms, tyro.conf.arg(name="loss")] = "ecenet"
    """ecenet: cross-entropy of the final map, and the loss of each stage (ours). release: cross-entropy, the two mask
    losses below and the diversity loss, with the weights of ECENet's authors' release and probable formulae, for that
    architecture. segvit: the loss of SegViT's authors, of its stages alone, for that architecture."""
    mask_weight: float = 5.0
    """Of the release's loss on the sum of all masks but the shallowest (the weight is the release's; that it is a
    binary cross-entropy is probable); 0 switches it off."""
    dice_weight: float = 2.0
    """Of the release's dice loss on that sum (the weight is the release's, the formula probable); 0 switches it off."""
    stage_weight: float = 0.3
    """λ_s: weight of each stage's loss. Ours."""
    stage_loss: StageLoss = "cross_entropy"
    """On each stage's mask: cross-entropy, or dice and focal loss as SegViT has them. SegViT's own stages have its
    authors' loss whatever stands here."""
    diversity_weight: float = 0.1
    """λ_d: weight of Feature Reconstruction's diversity loss, whose formula is ours for ecenet and a probable one for
    ecenet-release (0.2 there); 0 is an ablation."""
    presence_weight: float = 0.0
    """λ_p: weight of the loss on which classes an image holds."""
    jaccard_weight: float = 0.0
    """λ_j: weight of the loss on each class's IoU in the final map (Lovász-softmax)."""
    contrast_weight: float = 0.0
    """λ_c: weight of the supervised contrastive loss on every stage's class embeddings, over the images that are
    worked through at once."""
    class_balance: float = 0.0
    """Class weights ∝ pixel frequency^−this: 0 weighs all pixels alike, 1 all classes."""
    hard_pixels: float = 1.0
    """Share of each image's pixels, the hardest, that the final cross-entropy counts (OHEM)."""
    label_stride: int = 1
    """The final cross-entropy is taken at every so-many-th row and column of pixels: 2 saves time and memory where
    classes are many."""

    def __post_init__(self) -> None:
        choices = ("terms", self.terms in get_args(LossTerms), "ecenet, release or segvit")
        weights = (
            "mask_weight",
            "dice_weight",
            "stage_weight",
            "diversity_weight",
            "presence_weight",
            "jaccard_weight",
            "contrast_weight",
        )
        hard_pixels = ("hard_pixels", 0 < self.hard_pixels <= 1, "above 0 and at most 1")
        _check(self, [choices, hard_pixels], at_least_0=(*weights, "class_balance"), at_least_1=("label_stride",))


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Everything that decides its result.

    Every group, and this, refuses by a `UserError` what no run can use, and names the setting.
    """

    data: Annotated[DataConfig, tyro.conf.arg(name="")]
    out: Path
    """Run folder; an existing run in it is resumed."""

    start: Annotated[StartConfig, tyro.conf.arg(name="")] = field(default_factory=StartConfig)
    architecture: Architecture = "ecenet"
    """What is trained: ECENet, built from the options of `model`; ECENet as its authors released it, from those of
    `release`; or SegViT, from those of `segvit`."""
    model: Annotated[ModelConfig, tyro.conf.arg(name="")] = field(default_factory=ModelConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    segvit: SegViTConfig = field(default_factory=SegViTConfig)

    steps: int = 6000
    batch_size: int = 8
    """Images a step, over all processes and parts."""
    accumulate: int = 1
    """Parts in which each process works through its share of a batch: more need less memory."""
    optimizer: Annotated[OptimizerConfig, tyro.conf.arg(name="")] = field(default_factory=OptimizerConfig)
    loss: Annotated[LossConfig, tyro.conf.arg(name="")] = field(default_factory=LossConfig)

    precision: Precision = "auto"
    """auto: bf16 where the hardware computes it natively."""
    compile: bool = False
    """Through torch.compile: pays on GPUs and in long runs."""
    seed: int = 0
    save_every: int = 200
    """Steps between checkpoints."""
    validate_every: int | None = None
    """Steps between validations; once an epoch by default."""
    tensorboard: bool = False
    """Also log for TensorBoard, which must be installed."""

    @property
    def network(self) -> NetworkConfig:
        """What the trained model is built from."""
        if self.architecture == "segvit":
            return self.segvit
        return self.release if self.architecture == "ecenet-release" else self.model

    @property
    def crop_divisor(self) -> int:
        """What the side of crops is a multiple of: the patches of a ViT whose patches do not divide 32, else 32."""
        patch = re.search(r"vit_.*patch(\d+)", self.network.backbone)
        return int(patch[1]) if patch and 32 % int(patch[1]) else 32

    @property
    def random_backbone(self) -> bool:
        """Whether nothing has taught the backbone anything before."""
        return not self.start.pretrained and self.start.backbone_weights is None and self.start.start_from is None

    @property
    def warmup_steps(self) -> int:
        """Those of the optimizer's settings, or what they leave open."""
        given = self.optimizer.warmup_steps
        return min(LONGEST_WARMUP, self.steps // 10) if given is None else given

    @property
    def frozen_steps(self) -> int:
        """Likewise."""
        given = self.optimizer.frozen_steps
        automatic = 0 if self.random_backbone else min(LONGEST_REST, self.steps // 2)
        return automatic if given is None else given

    @property
    def frozen_batch_norm(self) -> bool:
        """Whether statistics are kept that are worth it."""
        return self.optimizer.frozen_batch_norm and not self.random_backbone

    def __post_init__(self) -> None:
        divisor = self.crop_divisor
        multiple = self.data.crop_size > 0 and self.data.crop_size % divisor == 0
        _check(self.data, [("crop_size", multiple, f"a positive multiple of {divisor}")])
        fits = 0 <= self.optimizer.frozen_stages <= len(self.network.out_indices)
        _check(self.optimizer, [("frozen_stages", fits, "at most the number of stages")])
        needed = {"release": "ecenet-release", "segvit": "segvit"}.get(self.loss.terms, self.architecture)
        if self.architecture != needed:
            raise UserError(
                "conflicting-options",
                f"Expected --architecture {needed} for --loss {self.loss.terms}, got {self.architecture}; "
                "change one of them.",
            )
        validations = ("validate_every", self.validate_every is None or self.validate_every >= 1, "at least 1")
        counts = ("steps", "batch_size", "accumulate", "save_every")
        _check(self, [validations], at_least_0=("seed",), at_least_1=counts)
