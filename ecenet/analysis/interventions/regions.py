"""A region that somebody painted on a photo, as shares of a stage's cells. Ours."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS, image_size, load_stored
from ecenet.inference.overlay import resize_labels

ROUNDING = 1e-6
"""Share of a cell that rounding may take from a region of exactly one cell."""


@dataclass(frozen=True, eq=False)
class RegionWeights:
    """How much of each cell a region covers."""

    weights: np.ndarray
    """(h, w) float32 in 0 … 1."""
    enlarged: bool
    """The region was smaller than one cell, so that it stands for all of each cell that it touches."""


def region_weights(region: np.ndarray, *, size: tuple[int, int], grid: tuple[int, int]) -> RegionWeights:
    """Average a region over the cells of a grid.

    Args:
        region: (H, W) bool.
        size: the photo's (width, height).
        grid: (h, w).
    Raises:
        UserError: the region has another size than the photo, or is empty.
    """
    check_size(region, size=size, what="a region")
    if not region.any():
        raise UserError(
            "empty-region", "Expected a painted region, got one without a pixel; paint over some of the photo."
        )
    weights = cell_shares(region.astype(np.float32), grid=grid)
    # Less than one cell would be a faint mask that the network never sees in training.
    enlarged = bool(weights.sum() < 1 - ROUNDING)
    return RegionWeights((weights > 0).astype(np.float32) if enlarged else weights, enlarged)


def cell_shares(pixels: np.ndarray, *, grid: tuple[int, int]) -> np.ndarray:
    """Mean of (H, W) float over each cell of an (h, w) grid, pixels that two cells share counted in part: (h, w)."""
    down, across = (torch.from_numpy(_overlaps(*sides)) for sides in zip(pixels.shape, grid, strict=True))
    # torch's product: numpy's threads spin for a while after one, and slow down the head that runs next.
    shares = down @ torch.from_numpy(pixels.astype(np.float64)) @ across.T
    # Clipped, since the sums round.
    return shares.clip(0, 1).float().numpy()


def fit_to_photo(mask: np.ndarray, *, size: tuple[int, int], name: str) -> np.ndarray:
    """Bring a mask to a photo's size, picking pixels: the photo may have been scaled down on arrival.

    Args:
        mask: (h, w) uint8.
        size: the photo's (width, height).
        name: of the mask's file, for the message.
    Returns: (H, W) uint8.
    Raises:
        UserError: other proportions than the photo's.
    """
    check_proportions((mask.shape[1], mask.shape[0]), size=size, name=name)
    return resize_labels(mask, size=size)


def check_proportions(came: tuple[int, int], *, size: tuple[int, int], name: str) -> None:
    """Of a picture of (width, height), as for `fit_to_photo`.

    Raises:
        UserError: other proportions than the photo's.
    """
    width, height = came
    scale = max(size) / max(came)
    # A pixel of either picture: rounding cannot have moved a side by more.
    if max(abs(width * scale - size[0]), abs(height * scale - size[1])) > max(1.0, scale):
        raise UserError(
            "size-mismatch",
            f"Expected a mask with the proportions of the photo ({size[0]}×{size[1]}), "
            f"but {name} has {width}×{height}; choose the mask of this photo.",
            expected=size,
            got=(width, height),
        )


def read_region(path: Path, *, size: tuple[int, int], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a region of a photo: the pixels of a picture that are not zero. Of a picture with transparency, those that
    are neither see-through nor black. Messages name the file alone.

    Args:
        path: 8-bit greyscale, palette (its indices count), black and white, RGB or RGBA; PNG, since JPEG blurs zeros.
        size: the photo's (width, height); the picture need only have its proportions.
        max_pixels: of the largest picture to accept.
    Returns: (H, W) bool.
    Raises:
        UserError: no such picture, too large, or other proportions.
    """
    image_size(path, max_pixels=max_pixels)  # what is wrong with the header has sentences of its own
    try:
        image = load_stored(path, max_pixels=max_pixels)
    except UserError as error:
        raise UserError(
            "file-damaged",
            f"Expected a region as a PNG, but {path.name} cannot be read; write it again, not zero where it lies.",
        ) from error
    check_proportions(image.size, size=size, name=path.name)
    # Picked before compared: of a large picture the rest need not be unpacked.
    marked = np.asarray(image.resize(size, Image.Resampling.NEAREST)).reshape(*size[::-1], -1) != 0
    return marked[..., :-1].any(axis=2) & marked[..., -1] if image.mode.endswith("A") else marked.any(axis=2)


def check_size(pixels: np.ndarray, *, size: tuple[int, int], what: str) -> None:
    """Raises:
    UserError: pixels are not (H, W) of the photo's (width, height).
    """
    if pixels.shape != size[::-1]:
        came = "×".join(str(side) for side in pixels.shape[::-1])
        raise UserError(
            "size-mismatch",
            f"Expected {what} of the photo's {size[0]}×{size[1]} pixels, got {came}; make it on this very photo.",
            expected=size,
            got=pixels.shape[::-1],
        )


def _overlaps(pixels: int, cells: int) -> np.ndarray:
    """(cells, pixels) float64: share of each cell that each pixel of one side makes up; rows sum to 1."""
    edges = np.arange(cells + 1) * (pixels / cells)
    starts = np.arange(pixels)
    lower = np.maximum(edges[:-1, None], starts)
    upper = np.minimum(edges[1:, None], starts + 1)
    return np.clip(upper - lower, 0, None) * (cells / pixels)
