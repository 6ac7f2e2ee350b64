"""Image files, opened within bounds: what is small on disk can be large, or endless, to whoever reads it."""

import io
import os
import re
import struct
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from ecenet.common.errors import UserError

ImageFile = str | os.PathLike[str] | bytes
"""A path, or what the file holds."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
"""What Pillow may read: pixels only, and none that it unpacks value by value, as it does PPM. Of its other formats some
start programs, as EPS does."""
MIN_SIDE = 8
"""Smallest height or width in pixels."""
PIXEL_SHARES = {"WEBP": 0.6, "AVIF": 0.6}
"""Of the pixels that an image may have: the decoders of these formats keep several copies."""
MAX_RUN_LENGTH_PIXELS = 10_000_000
"""Of a run-length packed BMP, which Pillow unpacks in Python."""
HEADER_READS, PIXEL_READS = 10_000, 500_000
"""How often Pillow may turn to a file: for what comes before the pixels, and for all of it. Ordinary files need some
hundred for the one, some ten thousand for the other."""
MAX_TIFF_PARTS = 100_000
"""Strips or tiles; twice as many as the longest image has rows."""
MAX_SCANNED_PIXELS = 1_000_000_000
"""Of a JPEG, each counted as often as there are scans: of a progressive one up to 18."""

JPEG_MARKER = re.compile(rb"\xff+([\x02-\xcf\xd9-\xfe])")
"""Of a segment with a length, or of the end: those without say nothing, and in a scan 0xff is followed by 0."""


class CountedFile:
    """A file that can be read so often, and for a header only so much: some headers name one place again and again."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file, self._label = file, label
        self._reads = HEADER_READS
        self._bytes = 2 * file.seek(0, os.SEEK_END) + (1 << 20)
        self._in_header = True
        file.seek(0)

    def allow_pixels(self) -> None:
        """The header has been read."""
        self._reads, self._in_header = PIXEL_READS, False

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._reads -= 1
        self._bytes -= len(content)
        if self._reads < 0 or (self._in_header and self._bytes < 0):
            raise too_many_parts(self._label)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()


def open_file(source: ImageFile) -> BinaryIO:
    """Raises:
    UserError: there is no such file.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        raise UserError(
            "invalid-value",
            f"Expected a path, bytes, a PIL image or an array, got {type(source).__name__}; choose an image.",
        )
    try:
        return Path(source).open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            "file-missing", f"Expected an image file, but {label_of(source)} cannot be read ({reason}); check the path."
        ) from error


def label_of(source: ImageFile) -> str:
    """What messages call it."""
    return "the data" if isinstance(source, bytes) else Path(source).name or f"{str(source)!r}"


def open_image(file: BinaryIO, label: str, *, max_pixels: int) -> Image.Image:
    """Read the header only; pixels are unpacked once it is known what they will take.

    Raises:
        UserError: not an image, too small, or too large.
    """
    if not file.read(1):
        raise UserError("file-damaged", f"Expected an image file, but {label} is empty (0 bytes); choose another file.")
    counted = CountedFile(file, label)
    try:
        if _tiff_parts(file) > MAX_TIFF_PARTS:
            raise too_many_parts(label)
        file.seek(0)
        with warnings.catch_warnings():
            # The pixel limit is ours; Pillow's own warning would only repeat it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(counted, formats=FORMATS)  # type: ignore[arg-type]  # all that it asks of a file
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(
            "image-too-large",
            f"Expected at most {max_pixels / 1e6:g} megapixels, but {label} has far more; make it smaller first.",
            limit=max_pixels,
        ) from error
    except Exception as error:  # on damaged files Pillow's readers raise almost anything
        raise UserError(
            "wrong-file",
            f"Expected an image (JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP), but {label} is none that can be read; "
            "choose another file.",
        ) from error
    check_size(image.size, label, max_pixels=max_pixels)
    _check_cost(image, file, label, max_pixels=max_pixels)
    counted.allow_pixels()
    return image


def check_size(size: tuple[int, int], label: str, *, max_pixels: float, kind: str = "") -> None:
    """Raises:
    UserError: too small, or too large.
    """
    width, height = size
    if width * height > max_pixels:
        raise UserError(
            "image-too-large",
            f"Expected at most {max_pixels / 1e6:g} megapixels{kind}, but {label} has {width}×{height} "
            f"({width * height / 1e6:.0f} megapixels); make it smaller first.",
            limit=max_pixels,
        )
    if min(width, height) < MIN_SIDE:
        raise UserError(
            "image-too-small",
            f"Expected an image of at least {MIN_SIDE}×{MIN_SIDE} pixels, but {label} has {width}×{height}; "
            "choose a larger one.",
            limit=MIN_SIDE,
        )


def _check_cost(image: Image.Image, file: BinaryIO, label: str, *, max_pixels: int) -> None:
    """What some formats take beyond the size of their pixels."""
    if image.format in PIXEL_SHARES:
        most = PIXEL_SHARES[image.format] * max_pixels
        check_size(image.size, label, max_pixels=most, kind=f" in {image.format}")
    if image.format == "BMP" and image.info.get("compression") in (1, 2):
        check_size(image.size, label, max_pixels=MAX_RUN_LENGTH_PIXELS, kind=" in a run-length packed BMP")
    if image.format in ("JPEG", "MPO"):
        place = file.tell()
        file.seek(0)
        segments, scans = _jpeg_segments(file.read())
        file.seek(place)
        if segments > HEADER_READS or scans * image.width * image.height > MAX_SCANNED_PIXELS:
            raise too_many_parts(label)


def _jpeg_segments(content: bytes) -> tuple[int, int]:
    """(segments, scans among them) up to the end of the image; no further than `HEADER_READS` of the former."""
    segments = scans = 0
    place = 2
    while segments <= HEADER_READS and (found := JPEG_MARKER.search(content, place)) and found[1] != b"\xd9":
        segments += 1
        scans += found[1] == b"\xda"
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    return segments, scans


def too_many_parts(label: str) -> UserError:
    return UserError(
        "file-unsafe",
        f"Expected an ordinary image file, but {label} is made of far too many parts; open it elsewhere and export it.",
    )


def _tiff_parts(file: BinaryIO) -> int:
    """Strips or tiles that the first directory of a TIFF lists: for each of them Pillow makes objects before it is
    known how many there are. 0 for other files."""
    file.seek(0)
    head = file.read(16)
    if head[:2] not in (b"II", b"MM"):
        return 0
    order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
    entry = struct.Struct(order + ("HHQ8x" if big else "HHI4x"))
    number = struct.Struct(order + ("Q" if big else "H"))
    file.seek(struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0])
    entries = min(number.unpack(file.read(number.size))[0], 1 << 16)
    content = file.read(entries * entry.size)
    content = content[: len(content) - len(content) % entry.size]
    counts = [count for tag, _, count in entry.iter_unpack(content) if tag in (273, 324)]
    return max(counts, default=0)
