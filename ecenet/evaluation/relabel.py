"""A second round of labels: what the masks leave unlabelled is labelled by weights that were trained on the rest."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from tqdm import tqdm

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import replaced
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.evaluate import check_labels
from ecenet.evaluation.tta import averaged_probabilities
from ecenet.inference.predictor import Predictor

BORDER = 3
"""Pixels. Unlabelled lines up to twice as wide separate objects; what they hide is neither one nor the other."""


@dataclass(frozen=True)
class Relabelled:
    """Shares of all pixels of the masks that were written."""

    masks: int
    filled: float
    unlabelled: float
    """That remain so."""


def relabel(
    predictor: Predictor,
    data: LabelledSplit,
    out: Path,
    *,
    classes: Sequence[str] = (),
    files: str = "*",
    min_probability: float = 0.35,
) -> Relabelled:
    """Write a copy of a split's masks in which unlabelled regions have the predictor's most probable class.

    The prediction is averaged over the image and its mirror image. Labelled pixels, unlabelled lines and regions of
    which the predictor is not sure enough stay as they are. This is self-training as it is commonly done, no part of
    ECENet. Masks that are there already stay, so that the same call continues where another was interrupted.

    Args:
        data: in the folder layout.
        out: folder in the same layout, with links to the images and to the other splits.
        classes: names to choose among, the others' probability being left out: those that unlabelled regions can hold.
            All by default.
        files: pattern of file names, without folder; masks of other files are copied.
        min_probability: of the class, among `classes`.
    Raises:
        UserError: the data's classes are not the predictor's, a name of `classes` is none of them, `out` is the data's
            own folder, or a file is bad.
    """
    check_labels(predictor, data)
    names = data.labels.class_names
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise UserError(
            "unknown-choice",
            f"Expected classes of the weights ({', '.join(names)}), got {unknown[0]!r}; choose some of these.",
        )
    if out.resolve() == data.root.resolve():
        raise UserError(
            "invalid-value", f"Expected a folder of its own for the new masks, got the data's, {out}; name another."
        )
    chosen = np.array([names.index(name) for name in classes] or range(len(names)))
    with disk_errors(out):
        pictures, masks = _copied_tree(data, out)
    pixels = filled = unlabelled = 0
    for index, image in enumerate(tqdm(data.images, desc="Relabelling", unit="photos")):
        written = masks / f"{image.stem}.png"
        mask = data.load_mask(index)
        if written.exists():
            new = np.asarray(Image.open(written))
        else:
            new = mask
            region = unlabelled_regions(mask)
            if fnmatch(image.name, files) and region.any():
                new = _filled(predictor, image, mask, region, chosen=chosen, min_probability=min_probability)
            with disk_errors(written):
                link = pictures / image.name
                if not link.exists():
                    link.symlink_to(image.resolve())
                with replaced(written) as partial:
                    Image.fromarray(new).save(partial, format="PNG")
        pixels += mask.size
        filled += int(np.count_nonzero(new != mask))
        unlabelled += int(np.count_nonzero(new == IGNORE_INDEX))
    return Relabelled(len(data), filled / pixels, unlabelled / pixels)


def _copied_tree(data: LabelledSplit, out: Path) -> tuple[Path, Path]:
    """The split's empty folders of images and masks in `out`; the other splits are links to the data's."""
    for kind in ("images", "masks"):
        (out / kind / data.split).mkdir(parents=True, exist_ok=True)
        for split in (data.root / kind).iterdir():
            link = out / kind / split.name
            if not link.exists():
                link.symlink_to(split.resolve())
    shutil.copyfile(data.root / "classes.json", out / "classes.json")
    return out / "images" / data.split, out / "masks" / data.split


def unlabelled_regions(mask: np.ndarray) -> np.ndarray:
    """(H, W) class indices → (H, W) bool: unlabelled pixels but for lines of up to `2 * BORDER` pixels' width."""
    unlabelled = mask == IGNORE_INDEX
    side = 2 * BORDER + 1
    picture = Image.fromarray(unlabelled.astype(np.uint8) * 255)
    opened = picture.filter(ImageFilter.MinFilter(side)).filter(ImageFilter.MaxFilter(side))
    return unlabelled & (np.asarray(opened) > 0)


def _filled(
    predictor: Predictor,
    image: Path,
    mask: np.ndarray,
    region: np.ndarray,
    *,
    chosen: np.ndarray,
    min_probability: float,
) -> np.ndarray:
    probabilities = averaged_probabilities(predictor, image, flip=True)["final"][torch.from_numpy(chosen)]
    best, place = (probabilities / probabilities.sum(dim=0).clamp_min(1e-12)).max(dim=0)
    sure = region & (best >= min_probability).cpu().numpy()
    return np.where(sure, chosen[place.cpu().numpy()], mask).astype(np.uint8)
