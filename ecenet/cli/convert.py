"""The command that makes a checkpoint of somebody else's; made as those in `core.py`."""

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
    """Turn a checkpoint that other authors published into a folder that --weights and the app open."""

    kind: tyro.conf.Positional[Literal["segvit", "ecenet"]]
    """Whose: the plain SegViT of github.com/zbwxp/SegVit, or ECENet as its authors released it."""
    file: tyro.conf.Positional[Path]
    """Their .pth file, or for ecenet a .safetensors. Only tensors and plain values are read from it."""
    out: tyro.conf.Positional[Path]
    """Folder of the checkpoint."""
    classes: Path | None = None
    """classes.json with their names, where neither the file tells them nor ADE20K, PASCAL-Context or COCO-Stuff has so
    many."""
    out_indices: tuple[int, ...] | None = None
    """Blocks of the ViT that make stages; as the file says, else as the authors have them. For ecenet, timm's feature
    indices."""
    num_heads: int | None = None
    """Of the head's attention; as the file says, else as the authors have them. For ecenet the tensors tell."""
    backbone: str | None = None
    """For ecenet: timm's name of it; Swin-B as the authors have it by default."""
    backbone_weights: Path | None = None
    """For ecenet: safetensors file of the backbone, where theirs holds the head alone."""
    image_mean: tuple[float, float, float] | None = None
    """Of RGB values in 0 … 1; as the file says, else 0.5. For ecenet, else ImageNet's."""
    image_std: tuple[float, float, float] | None = None
    """As `image_mean`."""
    half: bool = False
    """As fp16: half the size."""

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
                "Expected --backbone and --backbone-weights for ecenet only, got segvit; leave them out.",
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
            print(f"No prediction needs: {', '.join(converted.unused)}")

    def _run_ecenet(self) -> None:
        from ecenet.inference.convert.release import convert_release

        if self.num_heads is not None:
            raise UserError(
                "conflicting-options",
                "Expected --num-heads for segvit only, got ecenet, whose tensors tell it; leave it out.",
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
