"""The folder layout: `images/<split>/<stem>.jpg`, `masks/<split>/<stem>.png` (8-bit class indices), `classes.json`."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ecenet.data.labels import IGNORE_INDEX, LabelSet, read_labels
from ecenet.errors import UserError
from ecenet.images import image_size, load_image

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class FolderSplit:
    """One split of a data folder: file pairs, nothing loaded yet."""

    root: Path
    split: str
    labels: LabelSet
    images: list[Path]
    masks: list[Path]

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> tuple[Image.Image, np.ndarray]:
        """RGB image and its (H, W) uint8 mask.

        Raises:
            UserError: a file is damaged, sizes differ, or a mask value is neither a class nor 255.
        """
        image = load_image(self.images[index])
        return image, self.load_mask(index, size=image.size)

    def load_mask(self, index: int, *, size: tuple[int, int] | None = None) -> np.ndarray:
        """(H, W) uint8 class indices; `size` is the (width, height) that its image has."""
        path = self.masks[index]
        try:
            with Image.open(path) as file:
                mask = np.array(file)
        except Exception as error:  # on damaged files Pillow's readers raise almost anything
            raise UserError(
                f"Expected an 8-bit PNG of class indices, but {path} cannot be read; write it again."
            ) from error
        if mask.ndim != 2 or mask.dtype != np.uint8:
            raise UserError(
                f"Expected an 8-bit single-channel mask, but {path} has shape {mask.shape} and type {mask.dtype}; "
                "save class indices, not colours."
            )
        if size is not None and mask.shape != size[::-1]:
            raise UserError(
                f"Expected {path} to have its upright image's size {size[0]}×{size[1]}, "
                f"got {mask.shape[1]}×{mask.shape[0]}; export image and mask at one size."
            )
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        bad = present[(present >= self.labels.num_classes) & (present != IGNORE_INDEX)]
        if bad.size:
            raise UserError(
                f"Expected mask values 0 … {self.labels.num_classes - 1} or {IGNORE_INDEX}, but {path} holds {bad[0]}; "
                "correct the mask or classes.json."
            )
        return mask


def read_folder(root: Path | str, split: str) -> FolderSplit:
    """List one split and pair its files.

    Raises:
        UserError: the folder, the split, or masks are missing, or two images share one mask.
    """
    root = Path(root)
    folder = root / "images" / split
    if not folder.is_dir():
        splits = sorted(p.name for p in (root / "images").glob("*") if p.is_dir())
        found = f"it has the splits {', '.join(splits)}" if splits else "there is no such folder"
        raise UserError(f"Expected images in {folder}, but {found}; check --data and --split.")
    labels = read_labels(root / "classes.json")
    # Some systems put hidden twins of each file ("._cat.jpg") beside it.
    images = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    if not images:
        raise UserError(f"Expected images in {folder}, but it holds none; put JPEG, PNG or WebP files there.")
    for first, second in pairwise(sorted(images, key=lambda p: p.stem)):
        if first.stem == second.stem:
            raise UserError(
                f"Expected one image for each mask, but {first.name} and {second.name} in {folder} share "
                f"{first.stem}.png; remove or rename one."
            )
    masks = [root / "masks" / split / f"{p.stem}.png" for p in images]
    missing = [p for p in masks if not p.is_file()]
    if missing:
        raise UserError(
            f"Expected a mask for each of the {len(images)} images in {folder}, but {len(missing)} are missing "
            f"(first: {missing[0]}); add them or remove their images."
        )
    return FolderSplit(root, split, labels, images, masks)


def class_presence(data: FolderSplit, *, min_pixels: int = 200) -> np.ndarray:
    """Read every mask once: which classes does each image hold?

    Returns: (images, K) bool, True where a class covers at least `min_pixels` pixels.
    Raises:
        UserError: names the bad files, up to ten of them, before any work is spent on the rest; or no mask holds
            enough of any class to learn from.
    """
    presence = np.zeros((len(data), data.labels.num_classes), dtype=bool)
    problems: list[str] = []
    for index in tqdm(range(len(data)), desc=f"Reading {data.split} masks", unit="mask", leave=False):
        try:
            mask = data.load_mask(index, size=image_size(data.images[index]))
        except UserError as error:
            problems.append(str(error))
            continue
        presence[index] = np.bincount(mask.ravel(), minlength=256)[: data.labels.num_classes] >= min_pixels
    if problems:
        shown = "\n  ".join(problems[:10])
        raise UserError(f"{len(problems)} of {len(data)} pairs in {data.root} cannot be used:\n  {shown}")
    if not presence.any():
        raise UserError(
            f"Expected masks of {data.split} in {data.root} with at least {min_pixels} pixels of some class, "
            f"but all {len(data)} hold less (the rest is {IGNORE_INDEX}, ignored); label more pixels."
        )
    return presence
