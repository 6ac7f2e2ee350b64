"""Conversion of checkpoints of SegViT's authors."""

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
"""The authors' mean and standard deviation of RGB values in 0 … 255."""
ASPECT = 4 / 3
"""Assumed aspect ratio: the authors resize the shortest side of an image to their crop size, we the longest."""


class Stated(NamedTuple):
    """Figures from the authors' table."""

    data: str
    miou: float
    averaged: float
    """mIoU with multi-scale and flip augmentation."""


STATED = {
    ("vit_base_patch16_384", 150): Stated("ADE20K", 51.3, 53.0),
    ("vit_large_patch16_384", 150): Stated("ADE20K", 54.6, 55.2),
    ("vit_large_patch16_384", 171): Stated("COCO-Stuff 10K", 49.9, 50.3),
    ("vit_large_patch16_384", 59): Stated("PASCAL-Context (59 classes)", 64.1, 65.3),
}
"""Figures in the authors' README by backbone and number of classes."""
STRIDES = {512: 341, 480: 320, 640: 608}
"""Stride of the authors' windows by their side, in pixels."""
LAYOUTS = {150: "ade20k", 59: "pascal-context-59", 60: "pascal-context-60"}


@dataclass(frozen=True)
class Converted:
    """The result of a conversion."""

    model: SegViT
    unused: list[str]
    """Tensors of the file that are not needed for prediction."""


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
        classes: file for `read_labels`; by default see `find_labels`.
        out_indices, num_heads: see `architecture`.
        image_mean, image_std: normalisation of RGB values in 0 … 1; by default that in the checkpoint's configuration,
            or else the authors' published one, 0.5.
        half: save weights as fp16.
    Raises:
        UserError: the file cannot be read or belongs to another network, or its classes are unknown.
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
    """Return the mean or standard deviation of RGB values in 0 … 1."""
    values = stated(published, "img_norm_cfg", name, kind=list) or GREY
    if len(values) != 3 or not all(type(value) in (int, float) for value in values):
        values = GREY
    return [value / 255 for value in values]


def model_card(model: SegViT, labels: LabelSet, *, file: str) -> str:
    """Return a model card with the source of the weights, the authors' figures, and how to evaluate them."""
    settings = model.settings
    row = STATED.get((settings.backbone, model.num_classes))
    figures = "The authors' README has no figures for such a checkpoint."
    if row is not None:
        figures = (
            f"Reported by the authors, not measured here: {row.data}, mIoU {row.miou}, {row.averaged} averaged over\n"
            f"scales and mirror images. Whether `{file}` is their file was not checked."
        )
    side, layout = settings.position_side, LAYOUTS.get(model.num_classes)
    command = f"python -m ecenet evaluate --weights FOLDER --data DATA --window {side}"
    if layout is not None:
        command += f" --layout {layout}"
    order = ""
    if layout in ("pascal-context-59", "pascal-context-60"):
        command += " --map classes-map.json"
        order = (
            "\nThe classes are in mmsegmentation's order, those of that layout in the publisher's; first write a class "
            f"map with\n`python -m ecenet map FOLDER DATA --layout {layout} --out classes-map.json`."
        )
    stride = STRIDES.get(side, "two thirds of that")
    return f"""# SegViT on {labels.name}

Converted from `{file}` by `python -m ecenet convert segvit`: {settings.backbone}, stages from blocks
{", ".join(map(str, settings.out_indices))}, {model.num_classes} classes, trained on squares of {side} pixels.

**Source.** Zhang et al., SegViT: Semantic Segmentation with Plain Vision Transformers, NeurIPS 2022,
[arXiv 2210.05844](https://arxiv.org/abs/2210.05844); code and checkpoints: <https://github.com/zbwxp/SegVit>.

**Licence.** The weights remain under their authors' terms: the 2-clause BSD licence for academic use; commercial use
requires their permission. The data set and the backbone's pretrained weights have terms of their own.

**Figures.** {figures}

To evaluate the weights: `{command}`.{order}
The authors resize the shortest side of an image to {side} pixels and use windows of {side} at a stride of {stride}.
They average the windows' shares, which need not sum to 1 over classes. Here the longest side is resized to
{model.image_size}, windows are spread evenly and overlap by half or more, and each window's shares are normalised to
probabilities before they are averaged, so figures may differ slightly. As in their code, masks are combined at the
image's size, and position embeddings are resized without antialiasing.
"""
