"""Conversion of checkpoints of ECENet's authors' release."""

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
"""Mean and standard deviation of RGB values in 0 … 1 in the release."""
SIDE = 640
"""Side in pixels of the release's training crops and windows."""
IMAGE_SIZE = 853
"""Longest side in pixels of a 4:3 image whose shortest side is `SIDE`."""


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
    """Write `config.json`, `model.safetensors` and a model card, `README.md`, and return the model.

    Args:
        path: PyTorch or safetensors file with the release's tensor names, with or without `decode_head.`. Tensors of
            the backbone start with `backbone.` and have the names of timm's or Microsoft's Swin.
        classes: file for `read_labels`; by default the names in the checkpoint, or those of a data set with the same
            number of classes.
        backbone, out_indices: see `ReleaseConfig`; by default the release's Swin-B.
        backbone_weights: safetensors file of the backbone, if the checkpoint contains the head only.
        image_mean, image_std: normalisation of RGB values in 0 … 1; by default ImageNet's, as in the release.
        half: save weights as fp16.
    Raises:
        UserError: the file cannot be read or has other content; tensors are missing, misfit or left over; the
            backbone has other channels; or the classes are unknown.
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
            f"Expected a backbone whose four stages have {', '.join(map(str, sizes.channels))} channels, as in "
            f"{published.file}, got {config.backbone} with {', '.join(map(str, channels))}; "
            "give the right one with --backbone NAME and --out-indices.",
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
    """Load the backbone, and the norms after it if the checkpoint has them."""
    wanted = {
        name.removeprefix("backbone."): tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith("head.")
    }
    if not tensors:
        first = list(backbone_sources(wanted, tensors).values())[:3]
        raise UserError(
            "tensor-mismatch",
            f"Expected tensors of the backbone in {file.file}, but it contains a head only: {len(wanted)} are missing "
            f"({', '.join(first)}, …); give a complete checkpoint, or the trained backbone with --backbone-weights.",
        )
    found = fitting(tensors, backbone_sources(wanted, tensors), wanted=wanted, file=file.file)
    named = {name if name.startswith("feature_norms.") else f"backbone.{name}": one for name, one in found.items()}
    model.load_state_dict(model.state_dict() | named)


def model_card(model: ECENetRelease, labels: LabelSet, *, file: str) -> str:
    """Return a model card with the source of the weights, the authors' figures, and how to evaluate them."""
    config = model.settings
    figures = "The release reports no figures for such a checkpoint."
    if (config.backbone.split(".")[0], model.num_classes) == (ReleaseConfig().backbone, 150):
        figures = (
            "Reported by the authors' release, not measured here: ADE20K, mIoU 54.17, pixel accuracy 84.57, mean\n"
            f"accuracy 65.46. Whether `{file}` is their file was not checked."
        )
    return f"""# ECENet (authors' release) on {labels.name}

Converted from `{file}` by `python -m ecenet convert ecenet`: {config.backbone}, {model.num_classes} classes,
D = {config.embed_dim}, {config.num_heads} heads.

**Source.** Liu et al., Boosting Semantic Segmentation from the Perspective of Explicit Class Embeddings, ICCV 2023,
[arXiv 2308.12894](https://arxiv.org/abs/2308.12894); the head computes what the authors' inference release does.

**Licence.** The weights remain under their authors' terms. The data set and the backbone's pretrained weights have
terms of their own.

**Figures.** {figures}

To evaluate the weights: `python -m ecenet evaluate --weights FOLDER --data DATA --window {SIDE}`.
The authors resize the shortest side of an image to {SIDE} pixels and average windows of {SIDE} at a stride of 608. Here
the longest side is resized to {model.image_size}, windows of {SIDE} are spread evenly and overlap by half or more, and
their probabilities are averaged, so figures may differ slightly.
"""
