"""Opening of image files with limits, since a small file can take a lot of memory or time to decode."""

import io
import os
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.formats.jpeg import read_segments
from ecenet.data.formats.kinds import HEAD_BYTES, Kind, kind_of
from ecenet.data.formats.plugins import jxl_size, ready_for_heif, ready_for_jxl
from ecenet.data.formats.tiff import first_directory, raw_refusal

ImageFile = str | os.PathLike[str] | bytes
"""A path, or the content of the file."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
"""Formats that Pillow may read. Others, such as EPS, start external programs, or are decoded slowly, such as PPM."""
FORMATS_TEXT = "JPEG, PNG, WebP, AVIF, HEIC, GIF, TIFF or BMP"
"""Accepted formats, for messages."""
MIN_SIDE = 8
"""Smallest height or width in pixels."""
PIXEL_SHARES = {"WEBP": 0.6, "AVIF": 0.6, "HEIF": 0.6, "JXL": 0.2}
"""Factors on the pixel limit for formats whose decoders keep several copies."""
MAX_RUN_LENGTH_PIXELS = 10_000_000
"""Pixel limit of run-length encoded BMPs, which Pillow decodes in Python."""
HEADER_READS, PIXEL_READS = 10_000, 500_000
"""Limits on the number of reads of a file: for the header, and in total. Ordinary files need about a hundred and about
ten thousand."""
MAX_TIFF_PARTS = 100_000
"""Maximum number of strips or tiles; twice the number of rows of the longest image."""
MAX_PIPE_BYTES = 256 << 20
"""Limit on input that is not a regular file and may never end."""
MAX_SCANNED_PIXELS = 1_000_000_000
"""Limit on pixels times scans of a JPEG; progressive ones have up to 18 scans."""


class CountedFile:
    """A file with a limited number of reads, and of bytes for the header: malicious headers refer to one place
    repeatedly."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file, self._label = file, label
        self._reads = HEADER_READS
        self._bytes = 2 * file.seek(0, os.SEEK_END) + (1 << 20)
        self._in_header = True
        file.seek(0)

    def allow_pixels(self) -> None:
        """Raise the limits after the header has been read."""
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
    """Open a file for reading.

    Raises:
        UserError: the file does not exist or cannot be opened.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        raise UserError(
            "invalid-value",
            f"Expected a path, bytes, a PIL image or an array, got {type(source).__name__}; choose an image.",
        )
    try:
        file = Path(source).open("rb")  # noqa: SIM115  # closed by the caller
        return file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else _whole(file, label_of(source))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            "file-missing", f"Expected an image file, but {label_of(source)} cannot be read ({reason}); check the path."
        ) from error


def _whole(file: BinaryIO, label: str) -> BinaryIO:
    """Read a pipe, such as /dev/stdin, which is not seekable."""
    with file:
        content = file.read(MAX_PIPE_BYTES + 1)
    if len(content) > MAX_PIPE_BYTES:
        raise UserError(
            "file-too-large",
            f"Expected at most {MAX_PIPE_BYTES >> 20} MB, but {label} is larger; write it to a file first.",
            limit=MAX_PIPE_BYTES,
        )
    return io.BytesIO(content)


def label_of(source: ImageFile) -> str:
    """Return the name of an image for messages."""
    return "the data" if isinstance(source, bytes) else Path(source).name or f"{str(source)!r}"


def open_image(file: BinaryIO, label: str, *, max_pixels: int) -> Image.Image:
    """Open an image and read its header only, so that its size can be checked before decoding.

    Raises:
        UserError: the file is not an image, too small, or too large.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise UserError("file-damaged", f"Expected an image file, but {label} is empty (0 bytes); choose another file.")
    counted = CountedFile(file, label)
    try:
        formats = _formats(kind_of(head), file, label, max_pixels=max_pixels)
        file.seek(0)
        with warnings.catch_warnings():
            # We check the size ourselves.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(counted, formats=formats)  # type: ignore[arg-type]  # it has the methods that Pillow uses
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(
            "image-too-large",
            f"Expected at most {max_pixels / 1e6:g} megapixels, but {label} has far more; reduce its size first.",
            limit=max_pixels,
        ) from error
    except Exception as error:  # Pillow raises many exceptions for damaged files
        raise UserError(
            "wrong-file",
            f"Expected an image ({FORMATS_TEXT}), but {label} cannot be read as one; choose another file.",
        ) from error
    check_size(image.size, label, max_pixels=max_pixels)
    _check_cost(image, file, label, max_pixels=max_pixels)
    counted.allow_pixels()
    return image


def _formats(kind: Kind, file: BinaryIO, label: str, *, max_pixels: int) -> tuple[str, ...]:
    """Return the formats that Pillow may try, after checks on the start of the file."""
    if kind == "raw":
        raise raw_refusal(label)
    if kind == "TIFF":
        directory = first_directory(file)
        if directory.raw:
            raise raw_refusal(label)
        if directory.parts > MAX_TIFF_PARTS:
            raise too_many_parts(label)
    if kind == "HEIF":
        ready_for_heif(label)
        return ("HEIF",)
    if kind == "JXL":
        ready_for_jxl(label)
        file.seek(0)
        check_size(jxl_size(file.read(1 << 20)), label, max_pixels=PIXEL_SHARES["JXL"] * max_pixels, kind=" in JPEG XL")
        return ("JXL",)
    return FORMATS


def check_size(size: tuple[int, int], label: str, *, max_pixels: float, kind: str = "") -> None:
    """Check the size of an image.

    Raises:
        UserError: it is too small or too large.
    """
    width, height = size
    if width * height > max_pixels:
        raise UserError(
            "image-too-large",
            f"Expected at most {max_pixels / 1e6:g} megapixels{kind}, but {label} has {width}×{height} "
            f"({width * height / 1e6:.0f} megapixels); reduce its size first.",
            limit=max_pixels,
        )
    if min(width, height) < MIN_SIDE:
        raise UserError(
            "image-too-small",
            f"Expected an image of at least {MIN_SIDE}×{MIN_SIDE} pixels, but {label} has {width}×{height}; "
            "choose a larger image.",
            limit=MIN_SIDE,
        )


def _check_cost(image: Image.Image, file: BinaryIO, label: str, *, max_pixels: int) -> None:
    """Check limits that are specific to some formats."""
    if image.format in PIXEL_SHARES:
        most = PIXEL_SHARES[image.format] * max_pixels
        check_size(image.size, label, max_pixels=most, kind=f" in {image.format}")
    if image.format == "BMP" and image.info.get("compression") in (1, 2):
        check_size(image.size, label, max_pixels=MAX_RUN_LENGTH_PIXELS, kind=" in a run-length encoded BMP")
    if image.format in ("JPEG", "MPO"):
        place = file.tell()
        file.seek(0)
        segments = read_segments(file.read(), most=HEADER_READS)
        file.seek(place)
        if segments.total > HEADER_READS or segments.scans * image.width * image.height > MAX_SCANNED_PIXELS:
            raise too_many_parts(label)


def too_many_parts(label: str) -> UserError:
    return UserError(
        "file-unsafe",
        f"Expected an ordinary image file, but {label} consists of far too many parts; export it again with an image "
        "program.",
    )
