"""Loading of images from any source as upright 8-bit RGB images."""

from typing import overload

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ecenet.common.errors import UserError
from ecenet.data.image_file import ImageFile, check_size, label_of, open_file, open_image
from ecenet.data.rgb_conversion import to_rgb
from ecenet.data.stored_image import StoredImage, load, read_stored

ImageSource = ImageFile | Image.Image | np.ndarray

MAX_PIXELS = 64_000_000
"""Default limit on the pixels of an image, checked before decoding."""
NOTES = "notes"
"""Key of the notes in `Image.info`, which Pillow passes on to copies and resized versions."""


class RGBImage(Image.Image):
    """A normalised image: upright, 8-bit RGB, without transparency.

    `load_image` returns it, and accepts it without converting it again. Pillow's methods return plain images, which
    would be converted again. It must not be modified, since predictions keep it.
    """

    def __init__(self, image: Image.Image) -> None:
        """Share the pixels of a normalised image, which must not be modified."""
        super().__init__()
        vars(self).update(vars(image))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was ignored, assumed or missing in an irregular file; a few words each."""
        return tuple(self.info.get(NOTES, ()))


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, partial: bool = False) -> RGBImage:
    """Open, check and normalise an image. An `RGBImage` is only checked and returned itself.

    The EXIF orientation is applied. Colours are converted to sRGB by the file's ICC profile, or by its gamma, primaries
    or code points. Transparency is placed on white, or on black if the picture is nearly white itself. The first frame
    of an animation is used (for PIL images, the current frame). 16-bit and float values are scaled to 8 bits, and
    greyscale, palette and CMYK are converted to RGB. The result's `notes` list what was ignored or assumed.

    Args:
        source: path, encoded bytes, PIL image, or array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16,
            bool, or float in 0 … 1. It is not modified.
        max_pixels: largest accepted H·W; 0.6 times that for WebP, AVIF and HEIC, whose decoders keep several copies,
            and 0.2 times for JPEG XL.
        partial: accept truncated JPEGs; the missing part is grey, and a note is added.
    Raises:
        UserError: the source is not an image, damaged, empty, too small, too large, or has far too many parts.
    """
    if isinstance(source, np.ndarray):
        return _normalised(StoredImage.of(_from_array(source, max_pixels=max_pixels)))
    if isinstance(source, RGBImage):
        check_size(source.size, "the image", max_pixels=max_pixels)
        return source
    if isinstance(source, Image.Image):
        check_size(source.size, "the image", max_pixels=max_pixels)
        stored = StoredImage.of(source)
        load(source, "the image")
        return _normalised(stored)
    with open_file(source) as file:
        # In one expression, so that the stored pixels are freed before the RGB image is rotated.
        return _normalised(read_stored(file, label_of(source), max_pixels=max_pixels, partial=partial))


def _normalised(stored: StoredImage) -> RGBImage:
    orientation = stored.orientation()
    image, notes = to_rgb(stored), tuple(stored.notes)
    del stored  # frees the stored pixels before the RGB image is rotated
    if orientation in (2, 3, 4, 5, 6, 7, 8):
        image.getexif()[ExifTags.Base.Orientation] = orientation
        ImageOps.exif_transpose(image, in_place=True)
    if notes:
        image.info[NOTES] = notes
    return RGBImage(image)


def image_size(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) of the image that `load_image` would return, usually from the header only.

    Raises:
        UserError: see `load_image`; damage after the header may not be detected.
    """
    with open_file(source) as file:
        stored = read_stored(file, label_of(source), max_pixels=max_pixels, pixels=False)
        return stored.image.size[::-1] if stored.swapped_by_orientation else stored.image.size


def image_orientation(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> int:
    """Return the EXIF orientation, 1 … 8, by which `load_image` rotates or mirrors the stored pixels; 1 is none.

    Raises:
        UserError: see `image_size`.
    """
    with open_file(source) as file:
        orientation = read_stored(file, label_of(source), max_pixels=max_pixels, pixels=False).orientation()
        return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def load_stored(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Load the pixels unconverted, in the mode of the file, for masks and regions, whose values are not colours.

    Raises:
        UserError: see `load_image`.
    """
    with open_file(source) as file:
        label = label_of(source)
        image = open_image(file, label, max_pixels=max_pixels)
        load(image, label)
        return image


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
    """Return the image if its longest side is at most `max_side` pixels, else a copy scaled down to that."""
    if max(image.size) <= max_side:
        return image
    factor = max_side / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    return RGBImage(small) if isinstance(image, RGBImage) else small
