"""One split of a labelled data set, whatever the layout it came in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS, RGBImage, image_size, load_image, load_stored
from ecenet.data.labels import IGNORE_INDEX, LabelSet


@dataclass(frozen=True)
class LabelledSplit:
    """One split of a data set: pairs of files, nothing loaded yet."""

    root: Path
    split: str
    labels: LabelSet
    images: list[Path]
    masks: list[Path]
    decode: Callable[[Path], np.ndarray]
    """Reads a mask file as an (H, W) uint8 array of class indices, 255 = ignore."""

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int, *, max_pixels: int = MAX_PIXELS) -> tuple[RGBImage, np.ndarray]:
        """The image and its (H, W) uint8 mask.

        Args:
            max_pixels: largest image to accept.
        Raises:
            UserError: a file is damaged, sizes differ, or a mask value is neither a class nor 255.
        """
        image = load_image(self.images[index], max_pixels=max_pixels)
        return image, self.load_mask(index, size=image.size)

    def load_mask(self, index: int, *, size: tuple[int, int] | None = None) -> np.ndarray:
        """(H, W) uint8 class indices; `size` is the (width, height) that its image has."""
        path = self.masks[index]
        mask = self.decode(path)
        if size is not None and mask.shape != size[::-1]:
            raise UserError(
                "size-mismatch",
                f"Expected {path} to have its upright image's size {size[0]}×{size[1]}, "
                f"got {mask.shape[1]}×{mask.shape[0]}; export image and mask at one size.",
                expected=size,
                got=mask.shape[::-1],
            )
        present = values_of(mask)
        bad = present[(present >= self.labels.num_classes) & (present != IGNORE_INDEX)]
        if bad.size:
            raise UserError(
                "unknown-mask-value",
                f"Expected mask values 0 … {self.labels.num_classes - 1} or {IGNORE_INDEX}, but {path} holds {bad[0]}; "
                "correct the mask or classes.json.",
            )
        return mask


def evenly_spread(count: int, *, limit: int | None) -> np.ndarray:
    """`limit` of the indices 0 … count-1, ascending, the first and the last among them; all without a limit."""
    return np.linspace(0, count - 1, min(limit or count, count)).round().astype(int)


def read_indices(path: Path, *, content: bytes | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """An 8-bit single-channel image as it is: (H, W) uint8.

    Args:
        content: of the file, where that is not on disk; `path` then only names it.
        max_pixels: largest H·W to accept.
    Raises:
        UserError: the file cannot be read, is too large, or is of another kind.
    """
    try:
        mask = np.array(load_stored(path if content is None else content, max_pixels=max_pixels))
    except UserError as error:
        raise UserError(
            "file-damaged", f"Expected an 8-bit PNG of class indices, but {path} cannot be read; write it again."
        ) from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise UserError(
            "wrong-file",
            f"Expected an 8-bit single-channel mask, but {path} has shape {mask.shape} and type {mask.dtype}; "
            "save class indices, not colours.",
        )
    return mask


def values_of(mask: np.ndarray) -> np.ndarray:
    """Those that are there of (H, W) uint8, ascending. Pillow counts without a copy of eight times the size."""
    return np.flatnonzero(Image.fromarray(mask).histogram())


def class_pixels(data: LabelledSplit) -> np.ndarray:
    """The same without the pixels that are ignored: (images, K) int64."""
    return pixel_counts(data)[:, :-1]


def mask_counts(mask: np.ndarray, classes: int) -> np.ndarray:
    """(H, W) uint8 class indices → (K + 1,) pixels of each class, the ignored last."""
    histogram = np.array(Image.fromarray(mask).histogram())
    return np.append(histogram[:classes], histogram[IGNORE_INDEX])


def pixel_counts(data: LabelledSplit) -> np.ndarray:
    """Read every mask once: how much of each class does each image hold?

    Returns: (images, K + 1) int64 pixels; those in the last column are ignored.
    Raises:
        UserError: names the bad files, up to ten of them, before any work is spent on the rest.
    """
    classes = data.labels.num_classes
    pixels = np.zeros((len(data), classes + 1), dtype=np.int64)
    problems: list[str] = []
    for index in tqdm(range(len(data)), desc=f"Reading {data.split} masks", unit="mask", leave=False):
        try:
            mask = data.load_mask(index, size=image_size(data.images[index]))
        except UserError as error:
            problems.append(str(error))
            continue
        pixels[index] = mask_counts(mask, classes)
    if problems:
        shown = "\n  ".join(problems[:10])
        raise UserError(
            "several-problems", f"{len(problems)} of {len(data)} pairs in {data.root} cannot be used:\n  {shown}"
        )
    return pixels


def class_presence(data: LabelledSplit, pixels: np.ndarray, *, min_pixels: int = 200) -> np.ndarray:
    """(images, K) bool, True where a class covers at least `min_pixels` of `pixels`.

    Raises:
        UserError: no mask holds enough of any class to learn from.
    """
    presence: np.ndarray = pixels >= min_pixels
    if not presence.any():
        raise UserError(
            "not-enough-data",
            f"Expected masks of {data.split} in {data.root} with at least {min_pixels} pixels of some class, "
            f"but all {len(data)} hold less (the rest is {IGNORE_INDEX}, ignored); label more pixels.",
        )
    return presence
