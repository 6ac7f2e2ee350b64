"""Pseudo-labels: label the unlabelled regions of masks with the predictions of weights trained on the labelled ones."""

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
"""Half the width, in pixels, of unlabelled lines that separate objects; these lines stay unlabelled."""


@dataclass(frozen=True)
class Relabelled:
    """Result of `relabel`, as shares of all pixels of the masks written."""

    masks: int
    filled: float
    unlabelled: float
    """Share that is still unlabelled."""


def relabel(
    predictor: Predictor,
    data: LabelledSplit,
    out: Path,
    *,
    classes: Sequence[str] = (),
    files: str = "*",
    min_probability: float = 0.35,
) -> Relabelled:
    """Copy a split's masks and fill unlabelled regions with the predictor's most probable class.

    Predictions are averaged over the image and its mirror image. Labelled pixels, unlabelled lines between objects and
    pixels below `min_probability` are unchanged. This is standard self-training and not part of the paper. Existing
    masks are kept, so an interrupted call can be resumed.

    Args:
        data: split in the folder layout.
        out: new data set in the same layout, with links to the images and the other splits.
        classes: names of the classes that unlabelled regions can contain; probabilities are normalised over them. All
            by default.
        files: pattern of file names without folder; masks of other files are copied unchanged.
        min_probability: minimum probability of the class, among `classes`.
    Raises:
        UserError: the classes of data and weights differ, `classes` contains an unknown name, `out` is the folder of
            the data, or a file cannot be read.
    """
    check_labels(predictor, data)
    names = data.labels.class_names
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise UserError(
            "unknown-choice",
            f"Expected classes of the weights ({', '.join(names)}), got {unknown[0]!r}; choose from these.",
        )
    if out.resolve() == data.root.resolve():
        raise UserError(
            "invalid-value", f"Expected a new folder for the masks, got the folder of the data, {out}; choose another."
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
    """Create empty image and mask folders of the split in `out`, and links to the other splits."""
    for kind in ("images", "masks"):
        (out / kind / data.split).mkdir(parents=True, exist_ok=True)
        for split in (data.root / kind).iterdir():
            link = out / kind / split.name
            if not link.exists():
                link.symlink_to(split.resolve())
    shutil.copyfile(data.root / "classes.json", out / "classes.json")
    return out / "images" / data.split, out / "masks" / data.split


def unlabelled_regions(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: unlabelled pixels of an (H, W) mask, except lines up to `2 * BORDER` pixels wide."""
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
