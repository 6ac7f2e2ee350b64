"""Tiny trees in the layouts of published data sets: one image, one mask of chosen values each."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from ecenet.data.layouts import camvid
from ecenet.data.layouts.pairing import published_labels
from tests.support.helpers import noise_image

SIDE = 8


def blocks(*values: int, dtype: type = np.uint8) -> np.ndarray:
    """(8, 8): one value after another, over and over."""
    return np.resize(np.array(values, dtype=dtype), (SIDE, SIDE))


def save_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise_image(SIDE, SIDE).save(path)


def save_mask(path: Path, mask: np.ndarray, *, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    if palette:
        image.putpalette([value for color in published_labels("voc2012").class_colors for value in color])
    image.save(path)


def save_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_ade20k(root: Path) -> Path:
    save_image(root / "images" / "training" / "ADE_train_1.jpg")
    save_mask(root / "annotations" / "training" / "ADE_train_1.png", blocks(0, 1, 150))
    return root


def write_voc2012(root: Path) -> Path:
    for stem in ("2007_000032", "unlisted"):
        save_image(root / "JPEGImages" / f"{stem}.jpg")
    save_mask(root / "SegmentationClass" / "2007_000032.png", blocks(0, 20, 255), palette=True)
    save_text(root / "ImageSets" / "Segmentation" / "train.txt", "2007_000032")
    return root


# The publisher's own indices; the rest of the 459 is made up.
CONTEXT_INDICES = {"accordion": 1, "aeroplane": 2, "table": 397, "unknown": 431, "wood": 458, "wool": 459}


def write_pascal_context(root: Path, *, context: Path | None = None) -> Path:
    context = context or root
    names = {index: name for name, index in CONTEXT_INDICES.items()}
    rest = (name for name in published_labels("pascal_context").class_names if name not in CONTEXT_INDICES)
    names = {index: names.get(index) or next(rest, f"other {index}") for index in range(1, 460)}
    save_text(context / "labels.txt", *(f"{index}: {name}" for index, name in names.items()))
    save_image(root / "JPEGImages" / "2008_000002.jpg")
    save_text(root / "ImageSets" / "Main" / "train.txt", "2008_000002")
    (context / "trainval").mkdir()
    label_map = blocks(1, 2, 397, 458, 459, 431, 0, dtype=np.uint16)
    savemat(context / "trainval" / "2008_000002.mat", {"LabelMap": label_map})
    return root


def write_cityscapes(root: Path, *, kind: str = "labelIds", mask: np.ndarray | None = None) -> Path:
    save_image(root / "leftImg8bit" / "train" / "aachen" / "aachen_000000_000019_leftImg8bit.png")
    mask = blocks(0, 6, 7, 9, 29, 31, 33) if mask is None else mask
    save_mask(root / "gtFine" / "train" / "aachen" / f"aachen_000000_000019_gtFine_{kind}.png", mask)
    return root


def write_camvid(root: Path) -> Path:
    save_image(root / "701_StillsRaw_full" / "0001TP_006690.png")
    colors = [[0, 0, 0], *(color for group in camvid.GROUPS for color in group.values())]
    save_mask(
        root / "LabeledApproved_full" / "0001TP_006690_L.png", np.resize(np.array(colors, np.uint8), (SIDE, SIDE, 3))
    )
    save_text(root / "train.txt", "/SegNet/CamVid/train/0001TP_006690.png /SegNet/CamVid/trainannot/0001TP_006690.png")
    return root
