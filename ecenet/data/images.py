"""Any picture a user may hold → an upright 8-bit RGB image, or one sentence that says why not."""

from typing import overload

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ecenet.common.errors import UserError
from ecenet.data.image_file import ImageFile, check_size, label_of, open_file, open_image
from ecenet.data.rgb_conversion import to_rgb
from ecenet.data.stored_image import StoredImage, load, read_stored

ImageSource = ImageFile | Image.Image | np.ndarray

MAX_PIXELS = 64_000_000
"""Largest image that is decoded, in pixels; the header tells before anything is unpacked."""
NOTES = "notes"
"""Under which `Image.info` keeps them: Pillow hands it on to copies and smaller versions."""


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

    @property
    def notes(self) -> tuple[str, ...]:
        """What was set aside, assumed or missing where the file is not as it should be; a few words each."""
        return tuple(self.info.get(NOTES, ()))


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, partial: bool = False) -> RGBImage:
    """Open, check and normalise an image; one that is normalised already is only checked, and returned itself.

    Applies EXIF orientation; converts colours to sRGB by the file's ICC profile, or by the gamma, primaries or code
    points that it names; lays transparency on white, or on black where the picture is nearly white itself; takes the
    first frame of an animation (of a PIL image the frame it stands at); scales 16-bit and float values to 8 bits;
    converts greyscale, palette and CMYK to RGB. What had to be set aside or assumed is in the result's `notes`.

    Args:
        source: path, encoded bytes, PIL image, or array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16,
            bool, or float in 0 … 1. It is left as it is.
        max_pixels: largest H·W to accept; of formats whose decoders keep several copies (WebP, AVIF, HEIC) 0.6 of
            that, of JPEG XL 0.2.
        partial: take a JPEG whose end is missing, too; what it lacks is grey, and a note says so.
    Raises:
        UserError: not an image, damaged, empty, too small, too large, or made of absurdly many parts.
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
        # In one expression: nothing then holds the stored pixels while the RGB is turned.
        return _normalised(read_stored(file, label_of(source), max_pixels=max_pixels, partial=partial))


def _normalised(stored: StoredImage) -> RGBImage:
    orientation = stored.orientation()
    image, notes = to_rgb(stored), tuple(stored.notes)
    del stored  # before the RGB is turned: nobody then holds the pixels that it was made from
    if orientation in (2, 3, 4, 5, 6, 7, 8):
        image.getexif()[ExifTags.Base.Orientation] = orientation
        ImageOps.exif_transpose(image, in_place=True)
    if notes:
        image.info[NOTES] = notes
    return RGBImage(image)


def image_size(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of the image that `load_image` will return, mostly from the header alone.

    Raises:
        UserError: as `load_image`, but damage behind the header may go unnoticed.
    """
    with open_file(source) as file:
        stored = read_stored(file, label_of(source), max_pixels=max_pixels, pixels=False)
        return stored.image.size[::-1] if stored.swapped_by_orientation else stored.image.size


def image_orientation(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> int:
    """How `load_image` turns or mirrors the stored pixels: the EXIF orientation, 1 … 8; 1 leaves them as they are.

    Raises:
        UserError: as `image_size`.
    """
    with open_file(source) as file:
        orientation = read_stored(file, label_of(source), max_pixels=max_pixels, pixels=False).orientation()
        return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def load_stored(source: ImageFile, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The pixels as the file has them, in its mode: masks and regions, whose values are no colours.

    Raises:
        UserError: as `load_image`.
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
    """The image itself where its longest side is at most `max_side` pixels, else a copy scaled down to it."""
    if max(image.size) <= max_side:
        return image
    factor = max_side / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    return RGBImage(small) if isinstance(image, RGBImage) else small
