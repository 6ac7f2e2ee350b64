"""Any picture a user may hold → an upright 8-bit RGB image, or one sentence that says why not."""

import io
import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ecenet.errors import UserError

ImageSource = str | os.PathLike[str] | bytes | Image.Image | np.ndarray

MAX_PIXELS = 64_000_000
"""Largest image that is decoded, in pixels; the header tells before anything is unpacked."""
MIN_SIDE = 8
"""Smallest height or width in pixels."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "PPM")
"""What Pillow may read: pixels only. Of its other formats some start programs, as EPS does."""


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open, check and normalise an image.

    Applies EXIF orientation; composes transparency over white; takes the first frame of an animation (of a PIL image
    the frame it stands at); scales 16-bit and float values to 8 bits; converts greyscale, palette and CMYK to RGB.

    Args:
        source: path, encoded bytes, PIL image, or array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16,
            bool, or float in 0 … 1. It is left as it is.
        max_pixels: largest H·W to accept.
    Returns: RGB image.
    Raises:
        UserError: not an image, damaged, empty, too small or too large.
    """
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source, max_pixels=max_pixels))
    if isinstance(source, Image.Image):
        return _decode(source, "the image", max_pixels=max_pixels)
    with _open_file(source) as file:
        label = _label(source)
        return _decode(_open(file, label, max_pixels=max_pixels), label, max_pixels=max_pixels)


def image_size(source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of the image that `load_image` will return, mostly from the header alone.

    Raises:
        UserError: as `load_image`, but damage behind the header may go unnoticed.
    """
    with _open_file(source) as file:
        label = _label(source)
        image = _open(file, label, max_pixels=max_pixels)
        _check_size(image.size, label, max_pixels=max_pixels)
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation)
        except Exception as error:  # on damaged files Pillow's readers raise almost anything
            raise _damaged(label) from error
        # Pillow swaps a TIFF's sides by itself, others' only when asked to.
        turned = image.format != "TIFF" and orientation in (5, 6, 7, 8)
        return image.size[::-1] if turned else image.size


def _open_file(source: str | os.PathLike[str] | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        raise UserError(
            f"Expected a path, bytes, a PIL image or an array, got {type(source).__name__}; choose an image."
        )
    try:
        return Path(source).open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"Expected an image file, but {_label(source)} cannot be read ({reason}); check the path."
        ) from error


def _label(source: str | os.PathLike[str] | bytes) -> str:
    return "the data" if isinstance(source, bytes) else Path(source).name or f"{str(source)!r}"


def _open(file: BinaryIO, label: str, *, max_pixels: int) -> Image.Image:
    """Read the header only; pixels are unpacked once the size is known to be acceptable."""
    if not file.read(1):
        raise UserError(f"Expected an image file, but {label} is empty (0 bytes); choose another file.")
    file.seek(0)
    try:
        with warnings.catch_warnings():
            # The pixel limit is ours; Pillow's own warning would only repeat it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UserError(
            f"Expected at most {max_pixels / 1e6:g} megapixels, but {label} has far more; make it smaller first."
        ) from error
    except Exception as error:  # on damaged files Pillow's readers raise almost anything
        raise UserError(
            f"Expected an image (JPEG, PNG, WebP, GIF, TIFF or BMP), but {label} is none that can be read; "
            "choose another file."
        ) from error


def _check_size(size: tuple[int, int], label: str, *, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UserError(
            f"Expected at most {max_pixels / 1e6:g} megapixels, but {label} has {width}×{height} "
            f"({width * height / 1e6:.0f} megapixels); make it smaller first."
        )
    if min(width, height) < MIN_SIDE:
        raise UserError(
            f"Expected an image of at least {MIN_SIDE}×{MIN_SIDE} pixels, but {label} has {width}×{height}; "
            "choose a larger one."
        )


def _decode(image: Image.Image, label: str, *, max_pixels: int) -> Image.Image:
    _check_size(image.size, label, max_pixels=max_pixels)
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception as error:  # on damaged files Pillow's readers raise almost anything
        raise _damaged(label) from error
    return _to_rgb(upright)


def _damaged(label: str) -> UserError:
    return UserError(
        f"Expected a complete image file, but {label} is truncated or damaged; export or download it again."
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new image without transparency; `image` is upright."""
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(canvas, image)
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float greyscale → 8-bit; Pillow's own conversion would clip instead of scale."""
    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    # 16-bit scans span 0 … 65535, float images 0 … 1; whatever lies outside sets its own range.
    top = max(1.0 if image.mode == "F" else 65535.0, values.max())
    bottom = min(0.0, values.min())
    scaled = (values - bottom) * (255.0 / (top - bottom))
    return Image.fromarray(scaled.round().astype(np.uint8))


def _from_array(array: np.ndarray, *, max_pixels: int) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.size == 0:
        raise UserError(
            f"Expected an array of shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}; move channels last."
        )
    _check_size((array.shape[1], array.shape[0]), "the array", max_pixels=max_pixels)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either byte order
        array = (array / 257).round().astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise UserError(
                f"Expected float values between 0 and 1, got {array.min():g} to {array.max():g}; "
                "divide by the range or pass uint8."
            )
        array = (array * 255).round().astype(np.uint8)
    elif array.dtype != np.uint8:
        raise UserError(f"Expected uint8, uint16, bool or float values, got {array.dtype}; convert the array.")
    return Image.fromarray(array)


def thumbnail(image: Image.Image, *, max_side: int) -> Image.Image:
    """The image itself where its longest side is at most `max_side` pixels, else a copy scaled down to it."""
    if max(image.size) <= max_side:
        return image
    factor = max_side / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
