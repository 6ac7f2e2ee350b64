"""Greyscale values beyond 8 bits → 8 bits, and the range that black to white stand for."""

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

BITS_OF_A_SCAN = 15
"""A picture that needs so many is taken to have 16: scans are often a little dark."""


def white_of(highest: float) -> float:
    """What integers up to `highest` are drawn white at: the largest number of as many bits, since cameras of 10, 12 or
    14 bits, and programs that only widen 8, store theirs in more."""
    bits = int(highest).bit_length()
    return float((1 << (16 if bits in (0, BITS_OF_A_SCAN) else bits)) - 1)


def values_of(band: Image.Image, *, unsigned: bool) -> np.ndarray:
    """(h, w) float64, holes as 0."""
    array = np.asarray(band)
    values = (array.view(np.uint32) if unsigned else array).astype(np.float64)
    # Most images are whole, and to mend them takes longer than to look.
    return values if np.isfinite(values).all() else np.nan_to_num(values, posinf=0.0, neginf=0.0)


def range_of(ranges: Iterable[tuple[float, float]], *, floating: bool) -> tuple[float, float]:
    """(black, white) for pictures of which each part has these (lowest, highest) values: 16-bit scans span 0 … 65535,
    float images 0 … 1; what lies outside sets its own range."""
    lows, highs = zip(*ranges, strict=True)
    low, high = min(0.0, *lows), max(highs)
    if floating:
        return low, max(1.0, high)
    return low, white_of(high)


def range_note(black: float, white: float, *, floating: bool) -> str:
    """Empty where the range is the usual one."""
    usual = black == 0 and white in ((1,) if floating else (65535, 2**32 - 1))
    return "" if usual else f"shown with {black:g} … {white:g} as black to white".replace("e+", "e")


def to_8_bit(
    black: float, white: float, *, unsigned: bool = False, white_is_zero: bool = False
) -> Callable[[Image.Image], Image.Image]:
    """What scales a band of a greyscale image; Pillow's own conversion would clip instead of scale."""

    def scaled(band: Image.Image) -> Image.Image:
        shares = (values_of(band, unsigned=unsigned) - black) / (white - black)
        return Image.fromarray(((1 - shares if white_is_zero else shares) * 255).round().astype(np.uint8))

    return scaled


def array_to_8_bit(array: np.ndarray) -> tuple[np.ndarray, str]:
    """Any real numbers → uint8, and a note on the range where that is unusual. All channels share it."""
    if array.dtype == np.uint8:
        return array, ""
    floating = array.dtype.kind == "f"
    values = np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0)
    black, white = range_of([(values.min(), values.max())], floating=floating)
    if array.ndim == 3 and array.dtype == np.uint16:  # as Pillow has it, which only keeps the upper 8 bits
        black, white = 0.0, 65535.0
    return ((values - black) * (255 / (white - black))).round().astype(np.uint8), range_note(
        black, white, floating=floating
    )
