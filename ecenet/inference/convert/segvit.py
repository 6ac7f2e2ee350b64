"""The checkpoints of SegViT's authors as checkpoints of this package, which every command and the app open."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ecenet.common.errors import disk_errors
from ecenet.data.labels import LabelSet
from ecenet.inference.convert.class_labels import find_labels
from ecenet.inference.convert.mmseg_file import Published, read_published, stated
from ecenet.inference.convert.segvit_tensors import architecture, translate
from ecenet.inference.weights import save_model
from ecenet.model.segvit import SegViT

GREY = (127.5, 127.5, 127.5)
"""Mean and standard deviation, of 0 … 255, that the authors normalise images with, as their backbones want it."""
ASPECT = 4 / 3
"""Longest side over shortest: they bring the shortest side of an image to the side of their crops, we the longest."""


class Stated(NamedTuple):
    """A row of the authors' table."""

    data: str
    miou: float
    averaged: float
    """Over several scales and mirror images."""


STATED = {
    ("vit_base_patch16_384", 150): Stated("ADE20K", 51.3, 53.0),
    ("vit_large_patch16_384", 150): Stated("ADE20K", 54.6, 55.2),
    ("vit_large_patch16_384", 171): Stated("COCO-Stuff 10K", 49.9, 50.3),
    ("vit_large_patch16_384", 59): Stated("PASCAL-Context (59 classes)", 64.1, 65.3),
}
"""(backbone, classes) → what the authors' README says of it."""
STRIDES = {512: 341, 480: 320, 640: 608}
"""Side of the authors' windows → their stride, in pixels."""
LAYOUTS = {150: "ade20k", 59: "pascal-context-59", 60: "pascal-context-60"}


@dataclass(frozen=True)
class Converted:
    """What came of a file."""

    model: SegViT
    unused: list[str]
    """Tensors of the file that no prediction needs."""


def convert_segvit(
    path: Path,
    out: Path,
    *,
    classes: Path | None = None,
    out_indices: tuple[int, ...] | None = None,
    num_heads: int | None = None,
    image_mean: tuple[float, float, float] | None = None,
    image_std: tuple[float, float, float] | None = None,
    half: bool = False,
) -> Converted:
    """Write `config.json`, `model.safetensors` and a model card, `README.md`.

    Args:
        classes: file as `read_labels` takes it; by default as `find_labels` has it.
        out_indices, num_heads: as for `architecture`.
        image_mean, image_std: of RGB values in 0 … 1; by default as the checkpoint's own configuration says, else the
            authors' published ones, 0.5.
        half: as fp16.
    Raises:
        UserError: the file cannot be read or is of something else, or its classes are not known.
    """
    published = read_published(path)
    config = architecture(published, out_indices=out_indices, num_heads=num_heads)
    labels = find_labels(published, count=len(published.tensors["decode_head.q.weight"]), classes=classes)
    model = SegViT(
        config,
        class_names=labels.class_names,
        class_colors=labels.class_colors,
        image_mean=list(image_mean or _normalisation(published, "mean")),
        image_std=list(image_std or _normalisation(published, "std")),
        image_size=round(config.position_side * ASPECT),
        recipe={"converted_from": path.name, "data": labels.name},
    )
    tensors, unused = translate(published, config, wanted=model.state_dict())
    model.load_state_dict(tensors)
    with disk_errors(out):
        save_model(model.eval(), out, half=half)
        (out / "README.md").write_text(model_card(model, labels, file=path.name), encoding="utf-8")
    return Converted(model, unused)


def _normalisation(published: Published, name: str) -> list[float]:
    """Of RGB values in 0 … 1."""
    values = stated(published, "img_norm_cfg", name, kind=list) or GREY
    if len(values) != 3 or not all(type(value) in (int, float) for value in values):
        values = GREY
    return [value / 255 for value in values]


def model_card(model: SegViT, labels: LabelSet, *, file: str) -> str:
    """Where the weights are from, what their authors state, and how to measure them."""
    settings = model.settings
    row = STATED.get((settings.backbone, model.num_classes))
    figures = "The authors' README has no figure for such a checkpoint."
    if row is not None:
        figures = (
            f"As the authors state, not measured here: {row.data}, mIoU {row.miou}, {row.averaged} averaged over\n"
            f"scales and mirror images. That `{file}` is their file was not checked."
        )
    side, layout = settings.position_side, LAYOUTS.get(model.num_classes)
    command = f"python -m ecenet evaluate --weights FOLDER --data DATA --window {side}"
    if layout is not None:
        command += f" --layout {layout}"
    order = ""
    if layout in ("pascal-context-59", "pascal-context-60"):
        command += " --map classes-map.json"
        order = (
            "\nThe classes are in mmsegmentation's order, those of that layout in the publisher's: first write the map "
            f"from names\nto names, `python -m ecenet map FOLDER DATA --layout {layout} --out classes-map.json`."
        )
    return f"""# SegViT on {labels.name}

Converted from `{file}` by `python -m ecenet convert segvit`: {settings.backbone}, stages from blocks
{", ".join(map(str, settings.out_indices))}, {model.num_classes} classes, trained on squares of {side} pixels.

**Source.** Zhang et al., SegViT: Semantic Segmentation with Plain Vision Transformers, NeurIPS 2022,
[arXiv 2210.05844](https://arxiv.org/abs/2210.05844); code and checkpoints: <https://github.com/zbwxp/SegVit>.

**Licence.** The weights stay under their authors' terms: the 2-clause BSD licence for academic use; commercial use only
after asking them. The data set and the backbone's pretrained weights have terms of their own.

**Figures.** {figures}

To measure them: `{command}`.{order}
The authors bring an image's shortest side to {side} pixels and look through windows of {side} at a stride of
{STRIDES.get(side, "two thirds of that")}; they add up the windows' shares as they are, which do not sum to 1.
Here the longest side is brought to {model.image_size}, windows are spread evenly so that they overlap by half or more,
and each window's shares are normalised to probabilities before they are averaged, so figures may differ a little. As
theirs do, masks are combined at the image's size, and position embeddings are resized without antialiasing.
"""
