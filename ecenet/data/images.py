"""Any picture a user may hold → an upright 8-bit RGB image, or one sentence that says why not."""

from collections.abc import Callable, Iterator
from typing import overload

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ecenet.common.errors import UserError
from ecenet.data.image_file import ImageFile, check_size, label_of, open_file, open_image

ImageSource = ImageFile | Image.Image | np.ndarray

MAX_PIXELS = 64_000_000
"""Largest image that is decoded, in pixels; the header tells before anything is unpacked."""
BAND_PIXELS = 1 << 18
"""So many are converted at a time: what lies between a large image and its RGB would take several times its memory."""


class RGBImage(Image.Image):
    """A picture that has been normalised: upright, 8-bit RGB, not transparent.

    `load_image` makes it, and takes it again as it is, so that a photo is converted once on its way to the network,
    however many functions accept any source. Pillow's methods return plain images, which would be converted anew. It is
    not to be changed, since predictions keep it.
    """

    def __init__(self, image: Image.Image) -> None:
        """Share the pixels of an image that is normalised and that nobody else will change."""
        super().__init__()
        vars(self).update(vars(image))


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Open, check and normalise an image; one that is normalised already is only checked, and returned itself.

    Applies EXIF orientation; composes transparency over white; takes the first frame of an animation (of a PIL image
    the frame it stands at); scales 16-bit and float values to 8 bits; converts greyscale, palette and CMYK to RGB.

    Args:
        source: path, encoded bytes, PIL image, or array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16,
            bool, or float in 0 … 1. It is left as it is.
        max_pixels: largest H·W to accept; of formats whose decoders keep several copies (WebP, AVIF) 0.6 of that.
    Raises:
        UserError: not an image, damaged, empty, too small, too large, or made of absurdly many parts.
    """
    if isinstance(source, np.ndarray):
        return RGBImage(_to_rgb(_from_array(source, max_pixels=max_pixels)))
    if isinstance(source, Image.Image):
        check_size(source.size, "the image", max_pixels=max_pixels)
        return source if isinstance(source, RGBImage) else RGBImage(_upright(*_decode(source, "the image")))
    with open_file(source) as file:
        label = label_of(source)
        # In one expression: nothing then holds the stored pixels while the RGB is turned.
        return RGBImage(_upright(*_decode(open_image(file, label, max_pixels=max_pixels), label)))


def image_size(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of the image that `load_image` will return, mostly from the header alone.

    Raises:
        UserError: as `load_image`, but damage behind the header may go unnoticed.
    """
    with open_file(source) as file:
        label = label_of(source)
        image = open_image(file, label, max_pixels=max_pixels)
        # Pillow swaps a TIFF's sides by itself, others' only when asked to.
        turned = image.format != "TIFF" and _orientation(image, label) in (5, 6, 7, 8)
        return image.size[::-1] if turned else image.size


def image_orientation(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> int:
    """How `load_image` turns or mirrors the stored pixels: the EXIF orientation, 1 … 8; 1 leaves them as they are.

    Raises:
        UserError: as `image_size`.
    """
    with open_file(source) as file:
        label = label_of(source)
        orientation = _orientation(open_image(file, label, max_pixels=max_pixels), label)
        return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def load_stored(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The pixels as the file has them, in its mode: masks and regions, whose values are no colours.

    Raises:
        UserError: as `load_image`.
    """
    with open_file(source) as file:
        label = label_of(source)
        image = open_image(file, label, max_pixels=max_pixels)
        _load(image, label)
        return image


def _load(image: Image.Image, label: str) -> None:
    try:
        image.load()
    except UserError:
        raise
    except Exception as error:  # on damaged files Pillow's readers raise almost anything
        raise _damaged(label) from error


def _orientation(image: Image.Image, label: str) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception as error:  # on damaged files Pillow's readers raise almost anything
        raise _damaged(label) from error


def _decode(image: Image.Image, label: str) -> tuple[Image.Image, object]:
    """RGB, and how it is to be turned."""
    _load(image, label)
    orientation = _orientation(image, label)
    return _to_rgb(image), orientation


def _upright(image: Image.Image, orientation: object) -> Image.Image:
    if orientation in (2, 3, 4, 5, 6, 7, 8):
        image.getexif()[ExifTags.Base.Orientation] = orientation
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _damaged(label: str) -> UserError:
    return UserError(
        "file-damaged",
        f"Expected a complete image file, but {label} is truncated or damaged; export or download it again.",
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    """A new image without transparency."""
    to_8_bit = _scale_to_8_bit(image) if image.mode.startswith(("I", "F")) else None
    rgb = Image.new("RGB", image.size)
    for top, band in _bands(image):
        rgb.paste(_band_to_rgb(to_8_bit(band) if to_8_bit else band), (0, top))
    return rgb


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, image of full width) from top to bottom."""
    width, height = image.size
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _band_to_rgb(band: Image.Image) -> Image.Image:
    if band.mode == "La":
        band = band.convert("LA")
    if band.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in band.info:
        band = band.convert("RGBA")
        band = Image.alpha_composite(Image.new("RGBA", band.size, "white"), band)
    return band.convert("RGB")


def _scale_to_8_bit(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """For bands of a 16-bit, 32-bit or float greyscale image; Pillow's own conversion would clip instead of scale."""
    ranges = [(values.min(), values.max()) for values in (_finite(band) for _, band in _bands(image))]
    lows, highs = zip(*ranges, strict=True)
    # 16-bit scans span 0 … 65535, float images 0 … 1; whatever lies outside sets its own range.
    bottom, top = min(0.0, *lows), max(1.0 if image.mode == "F" else 65535.0, *highs)

    def to_8_bit(band: Image.Image) -> Image.Image:
        scaled = (_finite(band) - bottom) * (255.0 / (top - bottom))
        return Image.fromarray(scaled.round().astype(np.uint8))

    return to_8_bit


def _finite(band: Image.Image) -> np.ndarray:
    values = np.asarray(band).astype(np.float64)
    # Most images are whole, and to mend them takes longer than to look.
    return values if np.isfinite(values).all() else np.nan_to_num(values, posinf=0.0, neginf=0.0)


def _from_array(array: np.ndarray, *, max_pixels: int) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.size == 0:
        raise UserError(
            "invalid-value",
            f"Expected an array of shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}; move channels last.",
        )
    check_size((array.shape[1], array.shape[0]), "the array", max_pixels=max_pixels)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either byte order
        array = (array / 257).round().astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise UserError(
                "out-of-range",
                f"Expected float values between 0 and 1, got {array.min():g} to {array.max():g}; "
                "divide by the range or pass uint8.",
            )
        array = (array * 255).round().astype(np.uint8)
    elif array.dtype != np.uint8:
        raise UserError(
            "invalid-value", f"Expected uint8, uint16, bool or float values, got {array.dtype}; convert the array."
        )
    return Image.fromarray(array)


@overload
def thumbnail(image: RGBImage, *, max_side: int) -> RGBImage: ...


@overload
def thumbnail(image: Image.Image, *, max_side: int) -> Image.Image: ...


def thumbnail(image: Image.Image, *, max_side: int) -> Image.Image:
    """The image itself where its longest side is at most `max_side` pixels, else a copy scaled down to it."""
    if max(image.size) <= max_side:
        return image
    factor = max_side / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    return RGBImage(small) if isinstance(image, RGBImage) else small
