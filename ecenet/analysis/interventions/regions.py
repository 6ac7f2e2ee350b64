"""Painted regions of a photo, and their coverage of a stage's cells. Not from the paper."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS, image_size, load_stored
from ecenet.inference.overlay import resize_labels

ROUNDING = 1e-6
"""Tolerance for rounding: a region of exactly one cell may cover this much less."""


@dataclass(frozen=True, eq=False)
class RegionWeights:
    """Coverage of the cells by a region."""

    weights: np.ndarray
    """(h, w) float32 coverage in 0 … 1."""
    enlarged: bool
    """Whether the region was smaller than one cell and was extended to all cells that it touches."""


def region_weights(region: np.ndarray, *, size: tuple[int, int], grid: tuple[int, int]) -> RegionWeights:
    """Average a region over the cells of a grid.

    Args:
        region: (H, W) bool.
        size: the photo's (width, height).
        grid: (h, w) of the grid.
    Raises:
        UserError: the region has another size than the photo, or is empty.
    """
    check_size(region, size=size, what="a region")
    if not region.any():
        raise UserError("empty-region", "Expected a painted region, got an empty one; paint on the photo.")
    weights = cell_shares(region.astype(np.float32), grid=grid)
    # Regions smaller than a cell would give faint masks, which do not occur in training.
    enlarged = bool(weights.sum() < 1 - ROUNDING)
    return RegionWeights((weights > 0).astype(np.float32) if enlarged else weights, enlarged)


def cell_shares(pixels: np.ndarray, *, grid: tuple[int, int]) -> np.ndarray:
    """(h, w) mean of (H, W) float values over each cell; pixels shared by two cells count in proportion."""
    down, across = (torch.from_numpy(_overlaps(*sides)) for sides in zip(pixels.shape, grid, strict=True))
    # Use torch: the threads of NumPy keep spinning after a product and slow down the head that runs next.
    shares = down @ torch.from_numpy(pixels.astype(np.float64)) @ across.T
    # Clip rounding errors of the sums.
    return shares.clip(0, 1).float().numpy()


def fit_to_photo(mask: np.ndarray, *, size: tuple[int, int], name: str) -> np.ndarray:
    """Resize a mask to a photo with nearest-neighbour sampling; uploaded photos may have been scaled down.

    Args:
        mask: (h, w) uint8 mask.
        size: the photo's (width, height).
        name: name of the mask's file, for messages.
    Returns: (H, W) uint8 mask.
    Raises:
        UserError: the mask's proportions differ from the photo's.
    """
    check_proportions((mask.shape[1], mask.shape[0]), size=size, name=name)
    return resize_labels(mask, size=size)


def check_proportions(came: tuple[int, int], *, size: tuple[int, int], name: str) -> None:
    """Check that a mask of (width, height) has the proportions of the photo; arguments as for `fit_to_photo`.

    Raises:
        UserError: the proportions differ.
    """
    width, height = came
    scale = max(size) / max(came)
    # Tolerance of one pixel, because of rounding.
    if max(abs(width * scale - size[0]), abs(height * scale - size[1])) > max(1.0, scale):
        raise UserError(
            "size-mismatch",
            f"Expected a mask with the proportions of the photo ({size[0]}×{size[1]}), "
            f"but {name} has {width}×{height}; choose the mask of this photo.",
            expected=size,
            got=(width, height),
        )


def read_region(path: Path, *, size: tuple[int, int], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a region of a photo: the non-zero pixels of an image; with an alpha channel, those that are neither
    transparent nor black. Messages contain only the file's name.

    Args:
        path: PNG (JPEG does not preserve zeros): 8-bit greyscale, palette (indices count), black and white, RGB or
            RGBA.
        size: the photo's (width, height); the image must have the same proportions.
        max_pixels: maximum size of the image.
    Returns: (H, W) bool.
    Raises:
        UserError: the image cannot be read, is too large, or has other proportions.
    """
    image_size(path, max_pixels=max_pixels)  # has its own messages for bad headers
    try:
        image = load_stored(path, max_pixels=max_pixels)
    except UserError as error:
        raise UserError(
            "file-damaged",
            f"Expected a region as a PNG, but {path.name} cannot be read; save it again, with non-zero pixels in the "
            "region.",
        ) from error
    check_proportions(image.size, size=size, name=path.name)
    # Sample pixels before comparing, to save memory for large images.
    marked = np.asarray(image.resize(size, Image.Resampling.NEAREST)).reshape(*size[::-1], -1) != 0
    return marked[..., :-1].any(axis=2) & marked[..., -1] if image.mode.endswith("A") else marked.any(axis=2)


def check_size(pixels: np.ndarray, *, size: tuple[int, int], what: str) -> None:
    """Check that an array has the photo's size.

    Raises:
        UserError: `pixels` is not (H, W) for the photo's (width, height).
    """
    if pixels.shape != size[::-1]:
        came = "×".join(str(side) for side in pixels.shape[::-1])
        raise UserError(
            "size-mismatch",
            f"Expected {what} of the photo's {size[0]}×{size[1]} pixels, got {came}; create it from this photo.",
            expected=size,
            got=pixels.shape[::-1],
        )


def _overlaps(pixels: int, cells: int) -> np.ndarray:
    """(cells, pixels) float64: share of each pixel in each cell along one side; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    starts = np.arange(pixels)
    lower = np.maximum(edges[:-1, None], starts)
    upper = np.minimum(edges[1:, None], starts + 1)
    return np.clip(upper - lower, 0, None) * (cells / pixels)
