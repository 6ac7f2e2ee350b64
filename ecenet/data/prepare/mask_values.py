"""The values or colours in mask files, with their numbers of pixels."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from ecenet.common.errors import UserError
from ecenet.data.images import load_stored

MAX_COLORS = 4096
"""Maximum number of colours that are counted the fast way; files with more are photos or were resized like photos."""
Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class MaskValues:
    """The values of a mask file."""

    size: tuple[int, int]
    """(width, height)."""
    pixels: dict[int, int]
    """Number of pixels by code: a grey value, a palette index, or a colour as 0xRRGGBB."""
    colored: bool
    """Whether the codes are colours; a colour file with greys only has values."""
    palette: dict[int, int]
    """Colour by used index, for a file with a palette."""
    lossy: bool
    """Whether the file has lossy compression, so that values differ from the original ones."""


def parallel(work: Callable[[Item], Answer], items: Sequence[Item], *, title: str, unit: str) -> list[Answer]:
    """Apply `work` to each item in threads on all cores, with a progress bar; decoding releases Python's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(tqdm(pool.map(work, items), total=len(items), desc=title, unit=unit, leave=False))


def read_values(path: Path) -> MaskValues:
    """Read the values of a mask file.

    Raises:
        UserError: the file is not an image, or has values that are not integers.
    """
    image = load_stored(path)
    lossy = image.format in ("JPEG", "MPO")
    palette: dict[int, int] = {}
    if image.mode in ("RGB", "RGBA", "CMYK", "YCbCr", "LA", "PA"):
        counted = image.convert("RGB").getcolors(MAX_COLORS)
        if counted is None:
            codes, counts = np.unique(color_codes(image), return_counts=True)
            pixels = dict(zip(codes.tolist(), counts.tolist(), strict=True))
        else:
            pixels = {color_code(np.atleast_1d(color).tolist()): count for count, color in counted}
        if all(_is_grey(code) for code in pixels):
            return MaskValues(image.size, {code & 255: count for code, count in pixels.items()}, False, {}, lossy)
        return MaskValues(image.size, pixels, True, {}, lossy)
    values = grey_values(image, path)
    if values.dtype == np.uint8:
        counts = np.array(Image.fromarray(values).histogram())
        pixels = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    else:
        codes, counts = np.unique(values, return_counts=True)
        pixels = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    if image.mode == "P":
        flat = image.convert("RGB").getpalette() or image.getpalette("RGB") or []
        palette = {code: color_code(flat[3 * code : 3 * code + 3]) for code in pixels if len(flat) >= 3 * code + 3}
    return MaskValues(image.size, pixels, False, palette, lossy)


def grey_values(image: Image.Image, path: Path) -> np.ndarray:
    """Return the (H, W) values of a file without colours: indices for palettes, and 0 and 255 for bits."""
    values = np.asarray(image.convert("L") if image.mode == "1" else image)
    if values.ndim != 2:
        values = np.asarray(image.convert("L"))
    if values.dtype.kind == "f":
        whole = values.round()
        if not np.array_equal(whole, values):
            raise UserError(
                "wrong-file", f"Expected integers in the mask {path}, but it contains fractions; save class indices."
            )
        values = whole.astype(np.int64)
    return values


def color_codes(image: Image.Image) -> np.ndarray:
    """Return the colours as (H, W) int32, 0xRRGGBB."""
    channels = np.asarray(image.convert("RGB")).astype(np.int32)
    codes: np.ndarray = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    return codes


def color_code(color: Sequence[int]) -> int:
    red, green, blue = color
    return int(red) << 16 | int(green) << 8 | int(blue)


def _is_grey(code: int) -> bool:
    return code >> 16 == (code >> 8) & 255 == code & 255


def rgb_of(code: int) -> tuple[int, int, int]:
    return code >> 16, (code >> 8) & 255, code & 255


@dataclass(frozen=True)
class Survey:
    """The values of all masks of a data set."""

    files: list[MaskValues]
    colored: bool
    """Whether the codes are colours, because a file has colours or the palettes of files differ."""

    def pixels_of(self, number: int) -> dict[int, int]:
        """Return the codes of a file, of the same kind as for all files."""
        one = self.files[number]
        if not self.colored or one.colored:
            return one.pixels
        counts: Counter[int] = Counter()
        for code, count in one.pixels.items():
            counts[one.palette.get(code, color_code((code, code, code)))] += count
        return dict(counts)

    @cached_property
    def total(self) -> Counter[int]:
        """Number of pixels in all files by code."""
        counts: Counter[int] = Counter()
        for number in range(len(self.files)):
            counts.update(self.pixels_of(number))
        return counts

    @cached_property
    def lossy(self) -> bool:
        return any(one.lossy for one in self.files)

    @cached_property
    def palette(self) -> dict[int, int]:
        """Colour by index, if all files have the same palette."""
        return {index: color for one in self.files for index, color in one.palette.items()}


def survey(paths: Sequence[Path]) -> Survey:
    """Read the values of every mask, on all cores.

    Raises:
        UserError: files are invalid; the message names up to three.
    """

    def look(path: Path) -> MaskValues | str:
        try:
            return read_values(path)
        except UserError as error:
            return f"{path}: {error}"

    answers = parallel(look, paths, title="Reading masks", unit="mask")
    bad = [answer for answer in answers if isinstance(answer, str)]
    if bad:
        shown = "\n  ".join(bad[:3])
        raise UserError("several-problems", f"{len(bad)} of {len(paths)} masks cannot be used:\n  {shown}")
    files = [answer for answer in answers if isinstance(answer, MaskValues)]
    seen: dict[int, int] = {}
    differ = any(seen.setdefault(index, color) != color for one in files for index, color in one.palette.items())
    return Survey(files, colored=differ or any(one.colored for one in files))
