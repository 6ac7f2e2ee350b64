"""Checkpoints of ECENet's authors' release as checkpoints of this package, which every command and the app open."""

from pathlib import Path

from torch import Tensor

from ecenet.common.errors import UserError, disk_errors
from ecenet.data.labels import LabelSet
from ecenet.inference.convert.class_labels import find_labels
from ecenet.inference.convert.mmseg_file import Published
from ecenet.inference.convert.release_tensors import (
    BACKBONE_PREFIX,
    backbone_sources,
    fitting,
    head_sizes,
    read_release,
    translate_head,
)
from ecenet.inference.weights import save_model
from ecenet.model.backbone import load_backbone_file
from ecenet.model.config import ReleaseConfig
from ecenet.model.release import ECENetRelease

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB values in 0 … 1, as the release normalises images."""
SIDE = 640
"""Of the release's training crops and windows in pixels."""
IMAGE_SIZE = 853
"""Longest side in pixels of an image of 4:3 whose shortest side is `SIDE`, as the release's windows want it."""


def convert_release(
    path: Path,
    out: Path,
    *,
    classes: Path | None = None,
    backbone: str | None = None,
    out_indices: tuple[int, ...] | None = None,
    backbone_weights: Path | None = None,
    image_mean: tuple[float, float, float] | None = None,
    image_std: tuple[float, float, float] | None = None,
    half: bool = False,
) -> ECENetRelease:
    """Write `config.json`, `model.safetensors` and a model card, `README.md`; return the model.

    Args:
        path: PyTorch or safetensors, the release's tensor names with `decode_head.` or without; the backbone's tensors
            begin with `backbone.` and are timm's or Microsoft's Swin's.
        classes: file as `read_labels` takes it; by default the checkpoint's own names, else those of a data set of so
            many classes.
        backbone, out_indices: as for `ReleaseConfig`; the release's Swin-B by default.
        backbone_weights: safetensors file of the backbone, where the checkpoint holds the head alone.
        image_mean, image_std: of RGB values in 0 … 1; ImageNet's by default, as in the release.
        half: as fp16.
    Raises:
        UserError: the file cannot be read or holds something else; tensors are missing, misfit or left over; the
            backbone has other channels; the classes are not known.
    """
    published = read_release(path)
    sizes = head_sizes(published.tensors, file=published.file)
    inside = {name: one for name, one in published.tensors.items() if name.startswith(BACKBONE_PREFIX)}
    defaults = ReleaseConfig()
    config = ReleaseConfig(
        backbone=backbone or defaults.backbone,
        out_indices=out_indices or defaults.out_indices,
        feature_norms=f"{BACKBONE_PREFIX}norm0.weight" in inside,
        embed_dim=sizes.embed_dim,
        num_heads=sizes.num_heads,
    )
    labels = find_labels(published, count=sizes.num_classes, classes=classes)
    model = ECENetRelease(
        config,
        class_names=labels.class_names,
        class_colors=labels.class_colors,
        image_mean=list(image_mean or IMAGENET_MEAN),
        image_std=list(image_std or IMAGENET_STD),
        image_size=IMAGE_SIZE,
        recipe={"converted_from": path.name, "data": labels.name},
    )
    channels = [one.get_parameter("weight").shape[1] for one in model.head.lateral]
    if channels != sizes.channels:
        raise UserError(
            "unsuitable-backbone",
            f"Expected a backbone whose four stages have {', '.join(map(str, sizes.channels))} channels, as "
            f"{published.file} was trained with, got {config.backbone} with {', '.join(map(str, channels))}; "
            "give it as --backbone NAME, with --out-indices.",
        )
    head = {name: one for name, one in published.tensors.items() if name not in inside}
    model.head.load_state_dict(translate_head(head, wanted=model.head.state_dict(), file=published.file))
    if backbone_weights is not None and not inside:
        load_backbone_file(model.backbone.network, backbone_weights)
    else:
        _load_backbone(model, inside, file=published)
    with disk_errors(out):
        save_model(model.eval(), out, half=half)
        (out / "README.md").write_text(model_card(model, labels, file=path.name), encoding="utf-8")
    return model


def _load_backbone(model: ECENetRelease, tensors: dict[str, Tensor], *, file: Published) -> None:
    """The backbone, and the norms behind it where the checkpoint has them."""
    wanted = {
        name.removeprefix("backbone."): tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith("head.")
    }
    if not tensors:
        first = list(backbone_sources(wanted, tensors).values())[:3]
        raise UserError(
            "tensor-mismatch",
            f"Expected the backbone's tensors in {file.file}, but it holds a head alone: {len(wanted)} are missing "
            f"({', '.join(first)}, …); give a whole checkpoint, or the trained backbone as --backbone-weights FILE.",
        )
    found = fitting(tensors, backbone_sources(wanted, tensors), wanted=wanted, file=file.file)
    named = {name if name.startswith("feature_norms.") else f"backbone.{name}": one for name, one in found.items()}
    model.load_state_dict(model.state_dict() | named)


def model_card(model: ECENetRelease, labels: LabelSet, *, file: str) -> str:
    """Where the weights are from, what their authors state, and how to measure them."""
    config = model.settings
    figures = "The release states no figure for such a checkpoint."
    if (config.backbone.split(".")[0], model.num_classes) == (ReleaseConfig().backbone, 150):
        figures = (
            "As the authors' release states, not measured here: ADE20K, mIoU 54.17, pixel accuracy 84.57, mean\n"
            f"accuracy 65.46. That `{file}` is their file was not checked."
        )
    return f"""# ECENet (authors' release) on {labels.name}

Converted from `{file}` by `python -m ecenet convert ecenet`: {config.backbone}, {model.num_classes} classes,
D = {config.embed_dim}, {config.num_heads} heads.

**Source.** Liu et al., Boosting Semantic Segmentation from the Perspective of Explicit Class Embeddings, ICCV 2023,
[arXiv 2308.12894](https://arxiv.org/abs/2308.12894); the head computes what the authors' inference release does.

**Licence.** The weights stay under their authors' terms. The data set and the backbone's pretrained weights have terms
of their own.

**Figures.** {figures}

To measure them: `python -m ecenet evaluate --weights FOLDER --data DATA --window {SIDE}`.
The authors bring an image's shortest side to {SIDE} pixels and average windows of {SIDE} at a stride of 608. Here the
longest side is brought to {model.image_size}, windows of {SIDE} are spread evenly and overlap by half or more, and
their probabilities are averaged; so figures may differ a little.
"""
