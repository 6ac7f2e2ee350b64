"""An image as stored in its file, with the information that is needed to convert it correctly."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, GifImagePlugin, Image

from ecenet.common.errors import UserError
from ecenet.data.formats import jpeg, png, tiff
from ecenet.data.formats.coded_color import HDR_NOTE, Coding, code_points, coding_of, png_coding
from ecenet.data.formats.kinds import HEAD_BYTES, Kind, kind_of
from ecenet.data.formats.levels import array_to_8_bit
from ecenet.data.image_file import HEADER_READS, check_size, open_image

CODE_POINT_BYTES = 1 << 16
"""Bytes at the start of the file in which colour code points are searched; they precede the pixels."""
OTHERWISE = ("wrong-file", "file-damaged")
"""Error codes after which other ways to read the file are tried."""
QUARTER_TURNS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
END_MISSING = "the end of the file is missing"
DETAILS_DAMAGED = "some of its metadata is damaged and was ignored"
EXIF_DAMAGED = "its EXIF data is damaged, so it may be rotated"
Transparency = int | tuple[int, ...] | bytes
"""The transparent value or colour, or the opacities of the palette, as read by Pillow."""


@dataclass
class StoredImage:
    """An image before normalisation."""

    image: Image.Image
    notes: list[str] = field(default_factory=list)
    """Notes of a few words each, to follow the name of the image."""
    box: tuple[int, int, int, int] | None = None
    """Left, upper, right and lower edge of the first frame of an animation; the rest is transparent."""
    transparency: Transparency | None = None
    unsigned: bool = False
    """Whether the values of mode I are unsigned."""
    white_is_zero: bool = False
    """Whether greyscale values are inverted, for more than 8 bits; Pillow inverts others itself."""
    coding: Coding | None = None
    """Colour coding, if the file specifies it by numbers."""

    @classmethod
    def of(cls, image: Image.Image, *, head: bytes = b"") -> "StoredImage":
        """Create it from an opened image, which is not modified.

        Args:
            head: the start of the file.
        """
        info = image.info
        points = code_points(head) if image.format in ("AVIF", "PNG") else None
        if image.format == "HEIF" and isinstance(nclx := info.get("nclx_profile"), dict):
            points = nclx.get("color_primaries", 1), nclx.get("transfer_characteristics", 13)
        coding = coding_of(*points) if points else png_coding(info) if image.format == "PNG" else None
        return cls(
            image,
            notes=[HDR_NOTE] if coding is not None and coding.hdr else [],
            box=_first_frame_box(image),
            transparency=_transparency(image, head),
            unsigned=tiff.is_unsigned(image),
            white_is_zero=tiff.is_white_zero(image),
            coding=coding,
        )

    @property
    def swapped_by_orientation(self) -> bool:
        """Whether width and height are swapped when it is upright. Pillow swaps those of TIFFs by itself."""
        return self.image.format != "TIFF" and self.orientation() in QUARTER_TURNS

    def orientation(self) -> object:
        """Return the EXIF orientation; None, with a note, if it is damaged."""
        try:
            return self.image.getexif().get(ExifTags.Base.Orientation)
        except Exception:  # Pillow raises many exceptions for damaged files
            if EXIF_DAMAGED not in self.notes:
                self.notes.append(EXIF_DAMAGED)
            return None


def read_stored(
    file: BinaryIO, label: str, *, max_pixels: int, partial: bool = False, pixels: bool = True
) -> StoredImage:
    """Open an image within the limits of `open_image`, with fallbacks for files that Pillow cannot read.

    Args:
        partial: accept truncated JPEGs.
        pixels: decode the pixels; otherwise damage after the header may not be detected.
    Raises:
        UserError: it is not an image, damaged, too small, or too large.
    """
    try:
        return _open(file, label, max_pixels=max_pixels, pixels=pixels)
    except UserError as error:
        if error.code not in OTHERWISE:
            raise
        file.seek(0)
        return _read_otherwise(file.read(), label, error, max_pixels=max_pixels, partial=partial, pixels=pixels)


def _open(file: BinaryIO, label: str, *, max_pixels: int, pixels: bool) -> StoredImage:
    image = open_image(file, label, max_pixels=max_pixels)
    file.seek(0)
    stored = StoredImage.of(image, head=file.read(CODE_POINT_BYTES))
    if tiff.read_wrongly(image):
        file.seek(0)
        stored = _from_tiff(file.read(), max_pixels=max_pixels) or stored
    if pixels:
        load(stored.image, label)
        # Some decoders return another size than that in the header.
        check_size(stored.image.size, label, max_pixels=max_pixels)
    return stored


def load(image: Image.Image, label: str) -> None:
    """Decode the pixels.

    Raises:
        UserError: the file is damaged.
    """
    try:
        image.load()
    except UserError:
        raise
    except Exception as error:  # Pillow raises many exceptions for damaged files
        raise UserError(
            "file-damaged",
            f"Expected a complete image file, but {label} is truncated or damaged; export or download it again.",
        ) from error


def _read_otherwise(
    content: bytes, label: str, error: UserError, *, max_pixels: int, partial: bool, pixels: bool
) -> StoredImage:
    """Read files that Pillow cannot read, or raise an error that describes them."""
    kind = kind_of(content[:HEAD_BYTES])
    if kind == "TIFF" and tiff.is_raw(content):
        raise error
    for mended, note in _mended(content, kind, partial=partial):
        try:
            stored = _open(io.BytesIO(mended), label, max_pixels=max_pixels, pixels=pixels)
        except UserError as again:
            if again.code not in OTHERWISE:
                raise
            continue
        stored.notes.append(note)
        return stored
    described = None
    if kind == "TIFF":
        if stored_tiff := _from_tiff(content, max_pixels=max_pixels):
            check_size(stored_tiff.image.size, label, max_pixels=max_pixels)
            return stored_tiff
        described = tiff.described(content)
    if kind == "JPEG" and (unusual := jpeg.read_segments(content, most=HEADER_READS).unusual):
        described = f"a JPEG {unusual}"
    if described:
        raise UserError(
            "wrong-file",
            f"Expected an image in a common format, but {label} is {described}, which is not supported; export it as "
            "JPEG or PNG.",
        ) from error
    raise error


def _mended(content: bytes, kind: Kind, *, partial: bool) -> Iterator[tuple[bytes, str]]:
    """Yield repaired versions of a file, each with a note."""
    if kind == "PNG":
        for profile in (True, False):
            yield png.without_damaged_details(content, profile=profile), DETAILS_DAMAGED
    if kind == "JPEG" and partial:
        segments = jpeg.read_segments(content, most=HEADER_READS)
        if segments.scans and not segments.ended:
            yield content + jpeg.END, END_MISSING  # the missing rows are then grey


def _from_tiff(content: bytes, *, max_pixels: int) -> StoredImage | None:
    """Read a TIFF with `tifffile`; returns None if that fails as well."""
    try:
        values = tiff.read_unpacked(content, max_pixels=max_pixels)
    except Exception:  # tifffile raises many exceptions for damaged files
        return None
    if values is None or values.array.dtype.kind not in "uifb":
        return None
    orientation = _tiff_orientation(content)
    array = values.array
    if array.ndim == 2 and array.dtype.newbyteorder("=") == np.uint16:  # scaled later, by the common conversion
        stored = StoredImage(Image.fromarray(array.astype(np.uint16)), white_is_zero=values.white_is_zero)
    else:
        array = array.astype(np.uint8) * 255 if array.dtype.kind == "b" else array
        shown, note = array_to_8_bit(array)
        shown = 255 - shown if values.white_is_zero else shown
        stored = StoredImage(Image.fromarray(np.ascontiguousarray(shown)), notes=[note] if note else [])
    if orientation:
        stored.image.getexif()[ExifTags.Base.Orientation] = orientation
    return stored


def _tiff_orientation(content: bytes) -> int:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        tag = file.pages[0].tags.get(int(ExifTags.Base.Orientation))  # type: ignore[union-attr]
        return tag.value if tag is not None and isinstance(tag.value, int) else 0


def _first_frame_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the box of the first frame of an undecoded GIF if it is smaller than its screen, else None."""
    if not isinstance(image, GifImagePlugin.GifImageFile) or image.tell() or not image.tile:
        return None
    box = image.tile[0].extents
    return box if box != (0, 0, *image.size) else None


def _transparency(image: Image.Image, head: bytes) -> Transparency | None:
    """Return the transparency in the values of Pillow's pixels; for PNG, Pillow returns it in the file's bit depth."""
    value = image.info.get("transparency")
    bits = png.grey_bits(head) if image.format == "PNG" else None
    if isinstance(value, int):
        return value * 255 // ((1 << bits) - 1) if bits in (2, 4) and image.mode == "L" else value
    if isinstance(value, tuple) and len(value) == 3 and all(isinstance(one, int) for one in value):
        wide = image.format == "PNG" and png.is_16_bit(head)
        return tuple(one >> 8 if wide else one & 255 for one in value)
    return value if isinstance(value, bytes) and image.mode == "P" else None
