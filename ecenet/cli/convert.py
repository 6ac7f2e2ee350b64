"""The command that makes a checkpoint of somebody else's; made as those in `cli.py`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ecenet.cli.core import make_folder


@dataclass(frozen=True)
class Convert:
    """Turn a checkpoint that other authors published into a folder that --weights and the app open."""

    kind: tyro.conf.Positional[Literal["segvit"]]
    """Whose: the plain SegViT of github.com/zbwxp/SegVit."""
    file: tyro.conf.Positional[Path]
    """Their .pth file. Only tensors and plain values are read from it."""
    out: tyro.conf.Positional[Path]
    """Folder of the checkpoint."""
    classes: Path | None = None
    """classes.json with their names, where neither ADE20K, PASCAL-Context nor COCO-Stuff has so many."""
    out_indices: tuple[int, ...] | None = None
    """Blocks of the ViT that make stages; as the file says, else as the authors have them."""
    num_heads: int | None = None
    """Of the head's attention; as the file says, else as the authors have them."""
    image_mean: tuple[float, float, float] | None = None
    """Of RGB values in 0 … 1; as the file says, else 0.5."""
    image_std: tuple[float, float, float] | None = None
    """As `image_mean`."""
    half: bool = False
    """As fp16: half the size."""

    def run(self) -> None:
        from ecenet.inference.convert.segvit import convert_segvit

        make_folder(self.out)
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
        model = converted.model
        print(
            f"Wrote SegViT with {model.num_classes} classes ({', '.join(model.class_names[:4])}, …) to {self.out}; "
            f"images are normalised with mean {model.image_mean} and standard deviation {model.image_std}"
        )
        if converted.unused:
            print(f"No prediction needs: {', '.join(converted.unused)}")
