"""The settings of a training as frozen dataclasses, one for each group. The docstrings of their fields are the help
texts of the command line.

On the command line, every field is an option of its own name (`--lr`, `--crop-size`), except those of the authors'
release and of SegViT, which have a prefix (`--release.embed-dim`, `--segvit.embed-dim`).
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
"""Argument `half` of `Predictor` for each precision."""

LONGEST_WARMUP, LONGEST_REST = 200, 3000
"""Maximum steps of the warm-up, and of the frozen backbone, if the settings do not specify them."""

Rule = tuple[str, bool, str]
"""A field's name, whether its value is valid, and what is expected."""


def _check(
    settings: object, rules: list[Rule], *, at_least_0: tuple[str, ...] = (), at_least_1: tuple[str, ...] = ()
) -> None:
    """Check the fields of a group of settings.

    Raises:
        UserError: a value is invalid; the message names the first such field.
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
    """Data sets, augmentation and sampling."""

    folder: Annotated[Path, tyro.conf.arg(name="data")]
    """Folder of the data set."""
    layout: Layout = "folder"
    """Layout of the data: `images/<split>`, `masks/<split>` and `classes.json`, or that of a published data set."""
    train_split: str = "train"
    val_split: str = "val"
    image_size: int = 512
    """Longest side in pixels of images in training (before random scaling) and prediction."""
    crop_size: int = 384
    """Side of the square training crops in pixels; a multiple of 32 or of the patch size of a ViT."""
    scale: tuple[float, float] = (0.5, 1.75)
    """Range of random scaling, relative to `image_size`."""
    color: float = 0.4
    """Strength of the colour jitter (brightness, contrast, saturation and hue), 0 … 1."""
    paste: float = 0.0
    """Share of samples onto which a region of a rare class from another image is pasted."""
    class_sampling: float = 0.5
    """Half of the images are drawn by class, with weights of (images with the class)^this; 0 draws all classes equally
    often."""
    workers: int = 1
    """Number of processes that load images."""

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
    """Initial weights, and the normalisation of images."""

    start_from: str | None = None
    """Weights to start from (name, folder or Hub id). If the classes differ, the classification layer is not loaded."""
    backbone_weights: Path | None = None
    """safetensors file for the backbone: timm's, or `model.safetensors` of a checkpoint. By default, timm's pretrained
    weights are downloaded."""
    pretrained: bool = True
    """Whether to download timm's weights if no file is given."""
    image_mean: tuple[float, float, float] | None = None
    """Mean of RGB values in 0 … 1; by default the value that timm's weights expect, or 0.5 for other backbones."""
    image_std: tuple[float, float, float] | None = None
    """Standard deviation, see `image_mean`."""

    def __post_init__(self) -> None:
        _check(self, [("image_std", self.image_std is None or min(self.image_std) > 0, "positive")])


@dataclass(frozen=True)
class OptimizerConfig:
    """Learning rates and their schedule, frozen parts, and the moving average of the weights."""

    lr: float = 1e-3
    """Peak learning rate of the head (AdamW)."""
    backbone_lr: float = 4e-5
    layer_decay: float = 1.0
    """Factor on the backbone's learning rate for each layer further from the head (ViTs: 0.65 to 0.9)."""
    schedule: Schedule = "poly"
    """Decay of the learning rate to 0 after the warm-up; poly has power 0.9."""
    warmup_steps: int | None = None
    """Steps of the linear warm-up; by default a tenth of all steps, at most 200."""
    weight_decay: float = 0.01
    clip_grad: float = 1.0
    """Maximum gradient norm."""
    frozen_steps: int | None = None
    """Steps during which the backbone is frozen, at less than half the time per step. By default half of all steps, at
    most 3000, and 0 for a random backbone."""
    frozen_stages: int = 0
    """Number of leading backbone stages of `out_indices` that stay frozen; the shallowest ones take the most time."""
    frozen_batch_norm: bool = True
    """Freeze the batch-norm statistics of a pretrained backbone, which small batches would spoil. Scales and biases are
    trained. The statistics of a random backbone are always trained."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is validated and saved."""

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
    """Loss terms and their weights; see `ecenet/training/losses/segmentation.py`."""

    terms: Annotated[LossTerms, tyro.conf.arg(name="loss")] = "ecenet"
    """ecenet: cross-entropy of the final map, and a loss for each stage (ours). release: cross-entropy, the two mask
    losses below and the diversity loss, for ecenet-release; the weights are those of the authors' release, the formulas
    are our assumption. segvit: the loss of SegViT's authors on the stages only, for segvit."""
    mask_weight: float = 5.0
    """Weight of the release's loss on the sum of all masks except the shallowest; 0 disables it. The weight is the
    release's; binary cross-entropy is our assumption."""
    dice_weight: float = 2.0
    """Weight of the release's dice loss on the same sum; 0 disables it. The weight is the release's, the formula our
    assumption."""
    stage_weight: float = 0.3
    """λ_s: weight of the loss of each stage (ours)."""
    stage_loss: StageLoss = "cross_entropy"
    """Loss on the mask of each stage: cross-entropy, or dice and focal loss as in SegViT. The architecture segvit
    always uses its authors' loss."""
    diversity_weight: float = 0.1
    """λ_d: weight of the diversity loss of Feature Reconstruction; 0 disables it. The formula is ours for ecenet, and
    our assumption for ecenet-release (0.2 there)."""
    presence_weight: float = 0.0
    """λ_p: weight of the loss on which classes an image contains."""
    jaccard_weight: float = 0.0
    """λ_j: weight of the Lovász-softmax loss, a surrogate of the IoU of each class in the final map."""
    contrast_weight: float = 0.0
    """λ_c: weight of the supervised contrastive loss on the class embeddings of every stage, over the images of a
    forward pass."""
    class_balance: float = 0.0
    """Class weights ∝ pixel frequency^−this: 0 weights all pixels equally, 1 all classes."""
    hard_pixels: float = 1.0
    """Share of the hardest pixels of each image that the final cross-entropy uses (OHEM)."""
    label_stride: int = 1
    """Compute the final cross-entropy at every N-th row and column of pixels; 2 saves time and memory with many
    classes."""

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
    """All settings of a training run.

    This class and its groups raise a `UserError` that names the setting if a value is invalid.
    """

    data: Annotated[DataConfig, tyro.conf.arg(name="")]
    out: Path
    """Run folder; an existing run in it is resumed."""

    start: Annotated[StartConfig, tyro.conf.arg(name="")] = field(default_factory=StartConfig)
    architecture: Architecture = "ecenet"
    """Architecture: ecenet (options without a prefix), ecenet-release, the authors' release (options `release`), or
    segvit (options `segvit`)."""
    model: Annotated[ModelConfig, tyro.conf.arg(name="")] = field(default_factory=ModelConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    segvit: SegViTConfig = field(default_factory=SegViTConfig)

    steps: int = 6000
    batch_size: int = 8
    """Images per step, over all processes and accumulated parts."""
    accumulate: int = 1
    """Number of gradient accumulation steps per batch; more need less memory."""
    optimizer: Annotated[OptimizerConfig, tyro.conf.arg(name="")] = field(default_factory=OptimizerConfig)
    loss: Annotated[LossConfig, tyro.conf.arg(name="")] = field(default_factory=LossConfig)

    precision: Precision = "auto"
    """auto: bf16 if the hardware supports it natively."""
    compile: bool = False
    """Use torch.compile, which pays off on GPUs and in long runs."""
    seed: int = 0
    save_every: int = 200
    """Steps between checkpoints."""
    validate_every: int | None = None
    """Steps between validations; by default one epoch."""
    tensorboard: bool = False
    """Also log to TensorBoard, which must be installed."""

    @property
    def network(self) -> NetworkConfig:
        """The configuration of the trained network."""
        if self.architecture == "segvit":
            return self.segvit
        return self.release if self.architecture == "ecenet-release" else self.model

    @property
    def crop_divisor(self) -> int:
        """The number that crop sizes must be a multiple of: 32, or the patch size of a ViT if it does not divide 32."""
        patch = re.search(r"vit_.*patch(\d+)", self.network.backbone)
        return int(patch[1]) if patch and 32 % int(patch[1]) else 32

    @property
    def random_backbone(self) -> bool:
        """Whether the backbone is initialised randomly."""
        return not self.start.pretrained and self.start.backbone_weights is None and self.start.start_from is None

    @property
    def warmup_steps(self) -> int:
        """Warm-up steps from the settings, or the default."""
        given = self.optimizer.warmup_steps
        return min(LONGEST_WARMUP, self.steps // 10) if given is None else given

    @property
    def frozen_steps(self) -> int:
        """Steps with a frozen backbone from the settings, or the default."""
        given = self.optimizer.frozen_steps
        automatic = 0 if self.random_backbone else min(LONGEST_REST, self.steps // 2)
        return automatic if given is None else given

    @property
    def frozen_batch_norm(self) -> bool:
        """Whether the batch-norm statistics of the backbone are frozen."""
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
