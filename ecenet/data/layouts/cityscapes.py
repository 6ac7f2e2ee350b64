"""Cityscapes with fine annotations: the 19 classes that its benchmark scores, in their official colours.

`leftImg8bit/<split>/<city>/*_leftImg8bit.png`, `gtFine/<split>/<city>/*_gtFine_labelIds.png` (34 ids) or, if there are
none, `*_gtFine_labelTrainIds.png` (0 … 18, 255 = ignore), which the publisher's scripts write.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ecenet.data.layouts.pairing import class_table, list_files, pair_files, published_labels, read_renumbered
from ecenet.data.split import LabelledSplit, read_indices

IDS = 34
"""Label ids 0 … 33; the 35th label, license plate, is −1 and does not occur."""
CLASS_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label ids of the 19 classes, road to bicycle."""
IMAGE_END = "_leftImg8bit.png"


def read_cityscapes(root: Path | str, split: str) -> LabelledSplit:
    """List one split and pair its files.

    Args:
        root: the folder with `leftImg8bit` and `gtFine`.
        split: `train` or `val`; the masks of `test` are not public.
    Raises:
        UserError: folders, images or masks are missing.
    """
    root = Path(root)
    images = list_files(root / "leftImg8bit" / split, f"*/*{IMAGE_END}")
    masks = _masks(root, split, images, "labelIds")
    decode: Callable[[Path], np.ndarray] = partial(read_renumbered, table=class_table(CLASS_IDS, size=IDS))
    if not any(path.is_file() for path in masks):
        train_ids = _masks(root, split, images, "labelTrainIds")
        if any(path.is_file() for path in train_ids):
            masks, decode = train_ids, read_indices
    return pair_files(root, split, published_labels("cityscapes"), zip(images, masks, strict=True), decode)


def _masks(root: Path, split: str, images: list[Path], kind: str) -> list[Path]:
    folder = root / "gtFine" / split
    return [folder / p.parent.name / f"{p.name.removesuffix(IMAGE_END)}_gtFine_{kind}.png" for p in images]
