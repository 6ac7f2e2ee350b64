"""Conversion of values with more than 8 bits to 8 bits."""

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

BITS_OF_A_SCAN = 15
"""Images with this many used bits are assumed to have 16, since scans are often slightly dark."""


def white_of(highest: float) -> float:
    """Return the value of white for integers up to `highest`: the largest number with the same number of bits, since
    values of 8, 10, 12 or 14 bits are often stored in 16."""
    bits = int(highest).bit_length()
    return float((1 << (16 if bits in (0, BITS_OF_A_SCAN) else bits)) - 1)


def values_of(band: Image.Image, *, unsigned: bool) -> np.ndarray:
    """Return the values of a band, (h, w) float64, with 0 for non-finite ones."""
    array = np.asarray(band)
    values = (array.view(np.uint32) if unsigned else array).astype(np.float64)
    # Most images are finite, and checking is faster than replacing.
    return values if np.isfinite(values).all() else np.nan_to_num(values, posinf=0.0, neginf=0.0)


def range_of(ranges: Iterable[tuple[float, float]], *, floating: bool) -> tuple[float, float]:
    """Return (black, white) for an image whose parts have these (lowest, highest) values: usually 0 … 65535 for 16 bits
    and 0 … 1 for floats; values outside extend the range."""
    lows, highs = zip(*ranges, strict=True)
    low, high = min(0.0, *lows), max(highs)
    if floating:
        return low, max(1.0, high)
    return low, white_of(high)


def range_note(black: float, white: float, *, floating: bool) -> str:
    """Return a note on an unusual range, or ""."""
    usual = black == 0 and white in ((1,) if floating else (65535, 2**32 - 1))
    return "" if usual else f"shown with {black:g} … {white:g} as black to white".replace("e+", "e")


def to_8_bit(
    black: float, white: float, *, unsigned: bool = False, white_is_zero: bool = False
) -> Callable[[Image.Image], Image.Image]:
    """Return a function that scales a band of a greyscale image to 8 bits; Pillow's conversion would clip it."""

    def scaled(band: Image.Image) -> Image.Image:
        shares = (values_of(band, unsigned=unsigned) - black) / (white - black)
        return Image.fromarray(((1 - shares if white_is_zero else shares) * 255).round().astype(np.uint8))

    return scaled


def array_to_8_bit(array: np.ndarray) -> tuple[np.ndarray, str]:
    """Convert an array of real numbers to uint8 and return a note if the range is unusual. All channels share the
    range."""
    if array.dtype == np.uint8:
        return array, ""
    floating = array.dtype.kind == "f"
    values = np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0)
    black, white = range_of([(values.min(), values.max())], floating=floating)
    if array.ndim == 3 and array.dtype == np.uint16:  # like Pillow, which keeps the upper 8 bits
        black, white = 0.0, 65535.0
    return ((values - black) * (255 / (white - black))).round().astype(np.uint8), range_note(
        black, white, floating=floating
    )
