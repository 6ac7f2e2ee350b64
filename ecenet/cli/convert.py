"""The command `convert`, for published checkpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from ecenet.cli.core import make_folder
from ecenet.common.errors import UserError

if TYPE_CHECKING:
    from ecenet.model.network import Network


@dataclass(frozen=True)
class Convert:
    """Convert a checkpoint published by other authors to a weights folder."""

    kind: tyro.conf.Positional[Literal["segvit", "ecenet"]]
    """Kind of checkpoint: plain SegViT of github.com/zbwxp/SegVit, or ECENet as released by its authors."""
    file: tyro.conf.Positional[Path]
    """The .pth file, or .safetensors for ecenet. Only tensors and plain values are read."""
    out: tyro.conf.Positional[Path]
    """Folder of the converted weights."""
    classes: Path | None = None
    """classes.json with the class names. Needed if the file does not contain them and their number is not that of
    ADE20K, PASCAL-Context or COCO-Stuff."""
    out_indices: tuple[int, ...] | None = None
    """Blocks of the ViT that are the stages; by default those in the file, or else the authors'. For ecenet, timm's
    feature indices."""
    num_heads: int | None = None
    """Number of attention heads; by default that in the file, or else the authors'. Not for ecenet, where the tensors
    determine it."""
    backbone: str | None = None
    """For ecenet: timm name of the backbone; by default the authors' Swin-B."""
    backbone_weights: Path | None = None
    """For ecenet: safetensors file of the backbone, if the checkpoint contains the head only."""
    image_mean: tuple[float, float, float] | None = None
    """Mean of RGB values in 0 … 1; by default that in the file, or else 0.5 (ImageNet's for ecenet)."""
    image_std: tuple[float, float, float] | None = None
    """Standard deviation, see `image_mean`."""
    half: bool = False
    """Save weights as fp16, half the size."""

    def run(self) -> None:
        make_folder(self.out)
        if self.kind == "ecenet":
            self._run_ecenet()
        else:
            self._run_segvit()

    def _run_segvit(self) -> None:
        from ecenet.inference.convert.segvit import convert_segvit

        if self.backbone is not None or self.backbone_weights is not None:
            raise UserError(
                "conflicting-options",
                "Expected --backbone and --backbone-weights for ecenet only, got segvit; remove them.",
            )
        converted = convert_segvit(
            self.file,
            self.out,
            classes=self.classes,
            out_indices=self.out_indices,
            num_heads=self.num_heads,
            image_mean=self.image_mean,
            image_std=self.image_std,
            half=self.half,
        )
        print(f"Wrote SegViT {self._described(converted.model)}")
        if converted.unused:
            print(f"Tensors not needed for prediction: {', '.join(converted.unused)}")

    def _run_ecenet(self) -> None:
        from ecenet.inference.convert.release import convert_release

        if self.num_heads is not None:
            raise UserError(
                "conflicting-options",
                "Expected --num-heads for segvit only, got ecenet, whose tensors determine it; remove it.",
            )
        model = convert_release(
            self.file,
            self.out,
            classes=self.classes,
            backbone=self.backbone,
            out_indices=self.out_indices,
            backbone_weights=self.backbone_weights,
            image_mean=self.image_mean,
            image_std=self.image_std,
            half=self.half,
        )
        print(f"Wrote ECENet (authors' release) {self._described(model)}")

    def _described(self, model: "Network") -> str:
        return (
            f"with {model.num_classes} classes ({', '.join(model.class_names[:4])}, …) to {self.out}; "
            f"images are normalised with mean {model.image_mean} and standard deviation {model.image_std}"
        )
