"""Arrays in, pictures out: label maps in class colours, similarity maps as heat over a faded photo."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import plotly.colors
from PIL import Image

from ecenet.data.labels import IGNORE_INDEX

HEAT_SCALE = "Viridis"
"""Perceptually even and safe for colour-blind readers; the scale of every similarity map."""
CHANGE_SCALE = "RdBu_r"
"""Blue for less, white for the same, red for more; safe for colour-blind readers, too."""
MARK = (255, 200, 0)
NO_CLASS = (128, 128, 128)


def indexed_mask(label_map: np.ndarray, class_colors: list[list[int]]) -> Image.Image:
    """Palette image whose pixel values are the class indices, and 255, in grey, where there is no class. (H, W) uint8 →
    mode P, ready to be saved as PNG."""
    mask = Image.fromarray(label_map)
    palette = [channel for color in class_colors for channel in color]
    if len(class_colors) <= IGNORE_INDEX and (label_map == IGNORE_INDEX).any():
        palette += [0] * (3 * IGNORE_INDEX - len(palette)) + list(NO_CLASS)
    mask.putpalette(palette)
    return mask


def resize_labels(labels: np.ndarray, *, size: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8 class indices → (H, W) of an image's (width, height): pixels are picked, classes never mixed."""
    return np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def overlay(
    image: Image.Image, label_map: np.ndarray, class_colors: list[list[int]], *, opacity: float = 0.6
) -> Image.Image:
    """The photo with class colours mixed in, and faded to grey where there is no class.

    Args:
        image: RGB, of the label map's size.
        label_map: (H, W) uint8; 255 for no class.
        opacity: 0 shows the photo alone, 1 the mask alone.
    """
    mixed = Image.blend(image, indexed_mask(label_map, class_colors).convert("RGB"), opacity)
    no_class = label_map == IGNORE_INDEX
    if no_class.any():
        mixed.paste(_faded(image), mask=Image.fromarray(no_class.astype(np.uint8) * 255))
    return mixed


def _faded(image: Image.Image) -> Image.Image:
    return Image.blend(image.convert("L").convert("RGB"), Image.new("RGB", image.size, NO_CLASS), 0.35)


def marked_pixels(image: Image.Image, pixels: np.ndarray, *, color: tuple[int, int, int] = MARK) -> Image.Image:
    """The photo, faded to grey but for the marked pixels, which are tinted.

    Args:
        pixels: (H, W) bool, of the image's size.
    """
    tinted = Image.blend(image, Image.new("RGB", image.size, color), 0.6)
    return Image.composite(tinted, _faded(image), Image.fromarray(pixels.astype(np.uint8) * 255))


def heat_colors(values: np.ndarray, *, low: float, high: float, scale: str = HEAT_SCALE) -> np.ndarray:
    """(...,) values → (..., 3) uint8 RGB; `low` and below is one end of the scale, `high` and above the other."""
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
    """One class's similarity map as heat over the greyed photo.

    Args:
        image: RGB photo.
        similarity: (h, w) on a stage's own grid; its cells stay visible, nothing is smoothed.
        low, high: values at the ends of the colour scale.
        max_side: longest side of the picture in pixels.
        scale: a name of Plotly's.
    """
    factor = min(1.0, max_side / max(image.size))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    colors = heat_colors(similarity, low=low, high=high, scale=scale)
    heat = Image.fromarray(colors).resize(size, Image.Resampling.NEAREST)
    return Image.blend(image.resize(size).convert("L").convert("RGB"), heat, opacity)


def side_by_side(pictures: Sequence[Image.Image], *, gap: int = 8) -> Image.Image:
    """Pictures of one height in a row, on white; `gap` in pixels."""
    canvas = Image.new("RGB", (sum(one.width + gap for one in pictures) - gap, pictures[0].height), "white")
    left = 0
    for one in pictures:
        canvas.paste(one, (left, 0))
        left += one.width + gap
    return canvas


def heat_gradient() -> str:
    """The colour scale as a CSS gradient, left to right."""
    stops = ", ".join(plotly.colors.sample_colorscale(HEAT_SCALE, [i / 10 for i in range(11)]))
    return f"linear-gradient(to right, {stops})"


@cache
def _color_table(scale: str) -> np.ndarray:
    """(256, 3) uint8."""
    colors = plotly.colors.sample_colorscale(scale, [i / 255 for i in range(256)], colortype="tuple")
    return (np.array(colors) * 255).round().astype(np.uint8)
