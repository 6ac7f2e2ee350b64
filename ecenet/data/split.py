"""A split of a labelled data set, independent of its layout."""

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
    """A split of a data set as pairs of files, which are loaded on demand."""

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
        """Load an image and its (H, W) uint8 mask.

        Args:
            max_pixels: largest accepted H·W.
        Raises:
            UserError: a file is damaged, sizes differ, or a mask value is neither a class nor 255.
        """
        image = load_image(self.images[index], max_pixels=max_pixels)
        return image, self.load_mask(index, size=image.size)

    def load_mask(self, index: int, *, size: tuple[int, int] | None = None) -> np.ndarray:
        """Load a mask, (H, W) uint8 class indices, and check it. `size` is the (width, height) of its image."""
        path = self.masks[index]
        mask = self.decode(path)
        if size is not None and mask.shape != size[::-1]:
            raise UserError(
                "size-mismatch",
                f"Expected {path} to have the size {size[0]}×{size[1]} of its upright image, "
                f"got {mask.shape[1]}×{mask.shape[0]}; export image and mask at the same size.",
                expected=size,
                got=mask.shape[::-1],
            )
        present = values_of(mask)
        bad = present[(present >= self.labels.num_classes) & (present != IGNORE_INDEX)]
        if bad.size:
            raise UserError(
                "unknown-mask-value",
                f"Expected mask values 0 … {self.labels.num_classes - 1} or {IGNORE_INDEX}, but {path} has {bad[0]}; "
                "correct the mask or classes.json.",
            )
        return mask


def evenly_spread(count: int, *, limit: int | None) -> np.ndarray:
    """Return at most `limit` of the indices 0 … count-1, evenly spread and including the first and the last."""
    return np.linspace(0, count - 1, min(limit or count, count)).round().astype(int)


def read_indices(path: Path, *, content: bytes | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an 8-bit single-channel image without conversion, (H, W) uint8.

    Args:
        content: content of the file, if it is not on disk; `path` is then used for messages only.
        max_pixels: largest accepted H·W.
    Raises:
        UserError: the file cannot be read, is too large, or has another format.
    """
    try:
        mask = np.array(load_stored(path if content is None else content, max_pixels=max_pixels))
    except UserError as error:
        raise UserError(
            "file-damaged", f"Expected an 8-bit PNG of class indices, but {path} cannot be read; save it again."
        ) from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise UserError(
            "wrong-file",
            f"Expected an 8-bit single-channel mask, but {path} has shape {mask.shape} and type {mask.dtype}; "
            "save class indices, not colours.",
        )
    return mask


def values_of(mask: np.ndarray) -> np.ndarray:
    """Return the distinct values of an (H, W) uint8 mask, ascending. Pillow counts them without a large copy."""
    return np.flatnonzero(Image.fromarray(mask).histogram())


def class_pixels(data: LabelledSplit) -> np.ndarray:
    """Count the labelled pixels of each class in each image, (images, K) int64; errors as in `pixel_counts`."""
    return pixel_counts(data)[:, :-1]


def mask_counts(mask: np.ndarray, classes: int) -> np.ndarray:
    """Count the pixels of each class, (K + 1,), in a mask of (H, W) uint8 class indices; the last entry is ignored
    pixels."""
    histogram = np.array(Image.fromarray(mask).histogram())
    return np.append(histogram[:classes], histogram[IGNORE_INDEX])


def pixel_counts(data: LabelledSplit) -> np.ndarray:
    """Read every mask once and count the pixels of each class.

    Returns: (images, K + 1) int64 pixels; the last column is ignored pixels.
    Raises:
        UserError: files are invalid; the message names up to ten of them.
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
    """Return (images, K) bool, whether a class has at least `min_pixels` pixels in an image.

    Raises:
        UserError: no image has that many pixels of any class.
    """
    presence: np.ndarray = pixels >= min_pixels
    if not presence.any():
        raise UserError(
            "not-enough-data",
            f"Expected masks with at least {min_pixels} pixels of some class in {data.split} of {data.root}, "
            f"but all {len(data)} have fewer (the rest is {IGNORE_INDEX}, ignored); label more pixels.",
        )
    return presence
