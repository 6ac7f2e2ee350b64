"""The folder layout: `images/<split>/<stem>.jpg`, `masks/<split>/<stem>.png` (8-bit class indices), `classes.json`."""

from itertools import pairwise
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.labels import read_labels
from ecenet.data.layouts.pairing import IMAGE_SUFFIXES, files_of_stems
from ecenet.data.split import LabelledSplit, read_indices


def read_folder(root: Path | str, split: str) -> LabelledSplit:
    """List one split and pair its files.

    Raises:
        UserError: the folder, the split or masks are missing, or two images share a mask.
    """
    root = Path(root)
    folder = root / "images" / split
    if not folder.is_dir():
        splits = sorted(p.name for p in (root / "images").glob("*") if p.is_dir())
        found = f"it has the splits {', '.join(splits)}" if splits else "there is no such folder"
        raise UserError("data-missing", f"Expected images in {folder}, but {found}; check --data and --split.")
    labels = read_labels(root / "classes.json")
    # Some systems create hidden files such as "._cat.jpg".
    images = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    if not images:
        raise UserError(
            "data-missing", f"Expected images in {folder}, but there are none; put JPEG, PNG or WebP files there."
        )
    for first, second in pairwise(sorted(images, key=lambda p: p.stem)):
        if first.stem == second.stem:
            raise UserError(
                "duplicate-entry",
                f"Expected one image for each mask, but {first.name} and {second.name} in {folder} share "
                f"{first.stem}.png; remove or rename one.",
            )
    masks = files_of_stems(root / "masks" / split, [p.stem for p in images], suffix=".png")
    missing = [p for p in masks if not p.is_file()]
    if missing:
        raise UserError(
            "data-missing",
            f"Expected a mask for each of the {len(images)} images in {folder}, but {len(missing)} are missing "
            f"(first: {missing[0]}); add them or remove their images.",
        )
    return LabelledSplit(root, split, labels, images, masks, decode=read_indices)
