"""TIFF files that Pillow reads incorrectly or not at all, and raw photos that look like TIFF.

`tifffile` is used for uncompressed files only, which cannot decode to more bytes than they have.
"""

import io
import struct
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ecenet.common.errors import UserError

NEW_SUBFILE_TYPE, BITS, COMPRESSION, PHOTOMETRIC, STRIPS = 254, 258, 259, 262, 273
SAMPLES, PLANES, TILES, SUB_DIRECTORIES, SAMPLE_FORMAT, DNG_VERSION = 277, 284, 324, 330, 339, 50706
SEPARATE, UNPACKED, REDUCED = 2, 1, 1
WHITE_IS_ZERO, RGB = 0, 2
UNSIGNED = 1


class Directory(NamedTuple):
    """The first directory of a TIFF: its number of strips or tiles, and whether it belongs to a raw photo."""

    parts: int
    raw: bool


def first_directory(content: Any) -> Directory:
    """Read the first directory of a TIFF without a library, because libraries create objects for each part before their
    number can be checked.

    Args:
        content: the open file.
    Raises:
        struct.error: the file is truncated.
    """
    content.seek(0)
    head = content.read(16)
    order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    number = struct.Struct(order + ("Q" if big else "H"))
    content.seek(struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0])
    entries = min(number.unpack(content.read(number.size))[0], 1 << 16)
    table = content.read(entries * entry.size)
    table = table[: len(table) - len(table) % entry.size]
    parts, reduced, tags = 0, False, set()
    for tag, kind, count, value in entry.iter_unpack(table):
        tags.add(tag)
        if tag in (STRIPS, TILES):
            parts = max(parts, count)
        if tag == NEW_SUBFILE_TYPE:
            reduced = bool(struct.unpack_from(order + ("H" if kind == 3 else "I"), value)[0] & REDUCED)
    return Directory(parts, raw=DNG_VERSION in tags or (reduced and SUB_DIRECTORIES in tags))


def is_raw(content: bytes) -> bool:
    """Return whether a TIFF is the raw photo of a camera, judging by its first directory."""
    try:
        return first_directory(io.BytesIO(content)).raw
    except (struct.error, ValueError, OverflowError):  # damaged
        return False


def read_wrongly(image: Image.Image) -> bool:
    """Return whether Pillow (12.3) reads this TIFF incorrectly: uncompressed 16-bit planar files."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(BITS, (1,))
    return tags.get(PLANES) == SEPARATE and tags.get(COMPRESSION, UNPACKED) == UNPACKED and max(bits) > 8


def is_white_zero(image: Image.Image) -> bool:
    """Return whether a greyscale TIFF with more than 8 bits is inverted, which Pillow (12.3) ignores."""
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and image.mode.startswith(("I", "F"))


def is_unsigned(image: Image.Image) -> bool:
    """Return whether the values of mode I are unsigned, which Pillow (12.3) reads as signed."""
    tags: Any = getattr(image, "tag_v2", {})
    return image.mode == "I" and tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED


class Values(NamedTuple):
    """An image read by `tifffile`."""

    array: np.ndarray
    """(H, W) or (H, W, C) of any type."""
    white_is_zero: bool
    alpha: bool
    """Whether the last channel (2 for greyscale, 4 for colours) is transparency; further channels are dropped."""


def read_unpacked(content: bytes, *, max_pixels: int) -> Values | None:
    """Read the first image of an uncompressed TIFF; returns None if it is compressed or not a picture.

    Raises:
        Exception: the file is damaged; tifffile raises various exceptions.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page: Any = file.pages[0]
        shape = page.imagelength * page.imagewidth * page.samplesperpixel
        if page.compression != UNPACKED or page.photometric > RGB or page.dtype is None or page.imagedepth != 1:
            return None
        if page.imagelength * page.imagewidth > max_pixels or shape * page.dtype.itemsize > len(content):
            return None
        array = page.asarray()
    array = array.reshape(-1, page.imagelength, page.imagewidth) if page.planarconfig == SEPARATE else array
    array = np.moveaxis(array, 0, -1) if page.planarconfig == SEPARATE and array.ndim == 3 else array
    array = array.reshape(page.imagelength, page.imagewidth, -1)
    colors = 3 if page.photometric == RGB else 1
    if array.shape[2] < colors:
        return None
    alpha = array.shape[2] > colors and bool(page.extrasamples) and page.extrasamples[0] in (1, 2)
    array = array[..., : colors + alpha]
    return Values(array[..., 0] if array.shape[2] == 1 else array, page.photometric == WHITE_IS_ZERO, alpha)


def described(content: bytes) -> str | None:
    """Describe a complete TIFF in a few words, or return None if it is truncated or damaged."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page: Any = file.pages[0]
            ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True))
            if max(ends) > len(content):
                return None
            packing = getattr(page.compression, "name", str(page.compression))
            photometric = getattr(page.photometric, "name", str(page.photometric))
            values = f"{page.bitspersample} bits in {page.samplesperpixel} channels"
            return f"a TIFF with {values} ({photometric}, compression {packing})"
    except Exception:  # tifffile raises many exceptions for damaged files
        return None


def raw_refusal(label: str) -> UserError:
    return UserError(
        "wrong-file",
        f"Expected an image, but {label} is the raw file of a camera; export it as JPEG or TIFF in a photo program.",
    )
