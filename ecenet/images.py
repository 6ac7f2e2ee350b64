"""Any picture a user may hold → an upright 8-bit RGB image, or one sentence that says why not."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ecenet.errors import UserError

ImageSource = str | os.PathLike[str] | bytes | Image.Image | np.ndarray

MAX_PIXELS = 64_000_000
"""Largest image that is decoded, in pixels; the header tells before anything is unpacked."""
MIN_SIDE = 8
"""Smallest height or width in pixels."""


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open, check and normalise an image.

    Applies EXIF orientation; composes transparency over white; takes the first frame of an animation; scales 16-bit
    and float values to 8 bits; converts greyscale, palette and CMYK to RGB.

    Args:
        source: path, encoded bytes, PIL image, or array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16,
            bool, or float in 0 … 1.
        max_pixels: largest H·W to accept.
    Returns: RGB image.
    Raises:
        UserError: not an image, damaged, empty, too small or too large.
    """
    if isinstance(source, np.ndarray):
        label, image = "the array", _from_array(source)
    elif isinstance(source, Image.Image):
        label, image = "the image", source
    elif isinstance(source, bytes):
        label, image = "the data", _open(source, "the data")
    else:
        path = Path(source)
        label = path.name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"Expected an image file, but {label} cannot be read ({error.strerror}); check the path."
            ) from error
        image = _open(data, label)

    width, height = image.size
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
    try:
        return _to_rgb(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(
            f"Expected a complete image file, but {label} is truncated or damaged; export or download it again."
        ) from error


def _open(data: bytes, label: str) -> Image.Image:
    """Read the header only; pixels are unpacked once the size is known to be acceptable."""
    if not data:
        raise UserError(f"Expected an image file, but {label} is empty (0 bytes); choose another file.")
    try:
        with warnings.catch_warnings():
            # The pixel limit above is ours; Pillow's own warning would only repeat it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise UserError(
            f"Expected at most {MAX_PIXELS / 1e6:g} megapixels, but {label} has far more; make it smaller first."
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(
            f"Expected an image (JPEG, PNG, WebP, GIF, TIFF or BMP), but {label} is none that can be read; "
            "choose another file."
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    image.seek(0) if getattr(image, "is_animated", False) else None
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
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


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.size == 0:
        raise UserError(
            f"Expected an array of shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}; move channels last."
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
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
    return ImageOps.contain(image, (max_side, max_side), Image.Resampling.LANCZOS)
