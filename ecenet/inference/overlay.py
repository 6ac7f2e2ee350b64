"""Drawing of label maps in class colours, and of similarity maps as heat maps over a faded photo."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import plotly.colors
from PIL import Image

from ecenet.data.labels import IGNORE_INDEX

HEAT_SCALE = "Viridis"
"""The colour scale of similarity maps, perceptually uniform and safe for colour-blind readers."""
CHANGE_SCALE = "RdBu_r"
"""The colour scale of changes: blue for less, white for the same, red for more; safe for colour-blind readers."""
MARK = (255, 200, 0)
NO_CLASS = (128, 128, 128)


def indexed_mask(label_map: np.ndarray, class_colors: list[list[int]]) -> Image.Image:
    """Return a palette image, mode P, whose pixel values are the class indices of an (H, W) uint8 label map; 255 (no
    class) is grey."""
    mask = Image.fromarray(label_map)
    palette = [channel for color in class_colors for channel in color]
    if len(class_colors) <= IGNORE_INDEX and (label_map == IGNORE_INDEX).any():
        palette += [0] * (3 * IGNORE_INDEX - len(palette)) + list(NO_CLASS)
    mask.putpalette(palette)
    return mask


def resize_labels(labels: np.ndarray, *, size: tuple[int, int]) -> np.ndarray:
    """Resize (h, w) uint8 class indices to (width, height) by nearest neighbour."""
    return np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def overlay(
    image: Image.Image, label_map: np.ndarray, class_colors: list[list[int]], *, opacity: float = 0.6
) -> Image.Image:
    """Blend a photo with class colours; pixels without a class fade to grey.

    Args:
        image: RGB, with the size of the label map.
        label_map: (H, W) uint8; 255 for no class.
        opacity: 0 shows the photo only, 1 the mask only.
    """
    mixed = Image.blend(image, indexed_mask(label_map, class_colors).convert("RGB"), opacity)
    no_class = label_map == IGNORE_INDEX
    if no_class.any():
        mixed.paste(_faded(image), mask=Image.fromarray(no_class.astype(np.uint8) * 255))
    return mixed


def _faded(image: Image.Image) -> Image.Image:
    return Image.blend(image.convert("L").convert("RGB"), Image.new("RGB", image.size, NO_CLASS), 0.35)


def marked_pixels(image: Image.Image, pixels: np.ndarray, *, color: tuple[int, int, int] = MARK) -> Image.Image:
    """Tint the marked pixels of a photo and fade the others to grey.

    Args:
        pixels: (H, W) bool, with the size of the image.
    """
    tinted = Image.blend(image, Image.new("RGB", image.size, color), 0.6)
    return Image.composite(tinted, _faded(image), Image.fromarray(pixels.astype(np.uint8) * 255))


def heat_colors(values: np.ndarray, *, low: float, high: float, scale: str = HEAT_SCALE) -> np.ndarray:
    """Convert (...,) values to colours, (..., 3) uint8 RGB; values are clipped to `low` … `high`, the ends of the
    scale."""
    scaled = (values - low) / max(high - low, 1e-12)
    return _color_table(scale)[(scaled.clip(0, 1) * 255).round().astype(int)]


def similarity_overlay(
    image: Image.Image,
    similarity: np.ndarray,
    *,
    low: float,
    high: float,
    opacity: float = 0.75,
    max_side: int = 480,
    scale: str = HEAT_SCALE,
) -> Image.Image:
    """Draw the similarity map of a class as a heat map over the grey photo.

    Args:
        image: RGB photo.
        similarity: (h, w) on the grid of a stage; cells are not smoothed.
        low, high: values at the ends of the colour scale.
        max_side: longest side of the picture in pixels.
        scale: name of a Plotly colour scale.
    """
    factor = min(1.0, max_side / max(image.size))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    colors = heat_colors(similarity, low=low, high=high, scale=scale)
    heat = Image.fromarray(colors).resize(size, Image.Resampling.NEAREST)
    return Image.blend(image.resize(size).convert("L").convert("RGB"), heat, opacity)


def side_by_side(pictures: Sequence[Image.Image], *, gap: int = 8) -> Image.Image:
    """Place pictures of equal height in a row on white, with a `gap` in pixels."""
    canvas = Image.new("RGB", (sum(one.width + gap for one in pictures) - gap, pictures[0].height), "white")
    left = 0
    for one in pictures:
        canvas.paste(one, (left, 0))
        left += one.width + gap
    return canvas


def heat_gradient() -> str:
    """Return the colour scale as a CSS gradient from left to right."""
    stops = ", ".join(plotly.colors.sample_colorscale(HEAT_SCALE, [i / 10 for i in range(11)]))
    return f"linear-gradient(to right, {stops})"


@cache
def _color_table(scale: str) -> np.ndarray:
    """Return the colours of a scale, (256, 3) uint8."""
    colors = plotly.colors.sample_colorscale(scale, [i / 255 for i in range(256)], colortype="tuple")
    return (np.array(colors) * 255).round().astype(np.uint8)
