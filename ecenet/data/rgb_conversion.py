"""Conversion of an opened image to 8-bit sRGB, band by band."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from ecenet.data.formats.backdrop import Visibility
from ecenet.data.formats.color_profile import Convert, lab_conversion, profile_conversion
from ecenet.data.formats.levels import range_note, range_of, to_8_bit, values_of
from ecenet.data.stored_image import StoredImage, Transparency

BAND_PIXELS = 1 << 18
"""Pixels converted at a time, because intermediate results take several times the memory of the image."""
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
GREY_MODES = ("1", "L", "LA", "La")
SHOWN_ON_BLACK = "shown on black because it is nearly white itself"


def to_rgb(stored: StoredImage) -> Image.Image:
    """Return a new image without transparency; notes are added to those of `stored`."""
    image = stored.image
    grey = _scaling(stored) if image.mode.startswith(("I", "F")) else None
    mode, convert = _color_conversion(stored)
    split = _splitter(stored, grey, mode)
    backdrop = "white"
    if split is not None and _vanishes_on_white(image, split):
        backdrop = "black"
        stored.notes.append(SHOWN_ON_BLACK)
    rgb = Image.new("RGB", image.size)
    for top, band in _bands(image):
        if split is None:
            colors = _in_mode(grey(band) if grey else band, mode)
            rgb.paste(convert(colors) if convert else colors.convert("RGB"), (0, top))
        else:
            colors, alpha = split(band, top)
            shown = Image.new("RGB", band.size, backdrop)
            shown.paste(convert(colors) if convert else colors.convert("RGB"), mask=alpha)
            rgb.paste(shown, (0, top))
    return rgb


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield (first row, image of full width) from top to bottom."""
    width, height = image.size
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _scaling(stored: StoredImage) -> Convert:
    """Return the conversion of bands of a 16-bit, 32-bit or float greyscale image to 8 bits."""
    floating = stored.image.mode == "F"
    values = (values_of(band, unsigned=stored.unsigned) for _, band in _bands(stored.image))
    black, white = range_of(((one.min(), one.max()) for one in values), floating=floating)
    if note := range_note(black, white, floating=floating):
        stored.notes.append(note)
    return to_8_bit(black, white, unsigned=stored.unsigned, white_is_zero=stored.white_is_zero)


def _color_conversion(stored: StoredImage) -> tuple[str, Convert | None]:
    """Return the mode of the colours, and their conversion to sRGB or None if they are sRGB already."""
    image = stored.image
    if image.mode in ("CMYK", "LAB"):
        mode = image.mode
    else:
        mode = "L" if image.mode in GREY_MODES or image.mode.startswith(("I", "F")) else "RGB"
    if stored.coding is not None and (stored.coding.hdr or "icc_profile" not in image.info):
        return "RGB", stored.coding.to_srgb
    convert = None
    if image.info.get("icc_profile"):
        mode, convert, note = profile_conversion(image.info["icc_profile"], mode)
        stored.notes += [note] if note else []
    return mode, lab_conversion() if mode == "LAB" and convert is None else convert


Split = Callable[[Image.Image, int], tuple[Image.Image, Image.Image]]
"""Function of a band and its first row that returns its colours and its opacity (mode L)."""


def _splitter(stored: StoredImage, grey: Convert | None, mode: str) -> Split | None:
    """Return the function that separates colours and opacity, or None without transparency."""
    image, transparent, box = stored.image, stored.transparency, stored.box
    if image.mode not in ALPHA_MODES and transparent is None and box is None:
        return None

    def split(band: Image.Image, top: int) -> tuple[Image.Image, Image.Image]:
        if band.mode in ALPHA_MODES:
            band = band.convert("LA" if band.mode == "La" else "RGBA")
            alpha = band.getchannel("A")
        elif transparent is None:
            alpha = Image.new("L", band.size, 255)
        else:
            alpha = _opacity(band, transparent)
        if box is not None:
            left, upper, right, lower = box
            inside = Image.new("L", band.size)
            covered = (left, max(0, upper - top), right, min(band.height, lower - top))
            if covered[1] < covered[3]:
                inside.paste(alpha.crop(covered), covered[:2])
            alpha = inside
        return _in_mode(grey(band) if grey else band, mode), alpha

    return split


def _opacity(band: Image.Image, transparent: Transparency) -> Image.Image:
    """Return the opacity of a band with one transparent value, or with opacities of its palette."""
    values = np.asarray(band)
    if isinstance(transparent, bytes):
        table = np.full(256, 255, dtype=np.uint8)
        table[: len(transparent)] = np.frombuffer(transparent[:256], dtype=np.uint8)
        return Image.fromarray(table[values])
    if band.mode == "1":
        values = values.astype(np.uint8) * 255
    same = values == transparent if values.ndim == 2 else (values == np.array(transparent)).all(axis=-1)
    return Image.fromarray(np.where(same, np.uint8(0), np.uint8(255)))


def _vanishes_on_white(image: Image.Image, split: Split) -> bool:
    visibility = Visibility()
    for top, band in _bands(image):
        visibility.add(*split(band, top))
    return visibility.vanishes_on_white


def _in_mode(band: Image.Image, mode: str) -> Image.Image:
    if "transparency" in band.info:  # already applied; Pillow would apply it again
        band = band.copy()
        del band.info["transparency"]
    return band if band.mode == mode else band.convert(mode)
