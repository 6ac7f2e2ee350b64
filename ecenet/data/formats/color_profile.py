"""Conversion of colours with ICC profiles to sRGB."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

Convert = Callable[[Image.Image], Image.Image]
"""Function that converts a band, in the mode returned by `profile_conversion`, to RGB."""

MAX_PROFILE_BYTES = 8 << 20
"""Size limit; profiles of printers have two or three megabytes."""
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Pillow's mode for each colour space of a profile."""
DAMAGED = "its colour profile is damaged and was ignored"
UNFIT = "its colour profile is for another colour space and was ignored"


def profile_conversion(profile: object, mode: str) -> tuple[str, Convert | None, str]:
    """Return the conversion by a profile with relative colorimetric intent, as in browsers.

    Args:
        profile: the profile as read by Pillow.
        mode: L, RGB, CMYK or LAB: the mode of the image without transparency.
    Returns: the mode for bands; the conversion to RGB, or None if the profile changes nothing or is ignored; and a note
        if it is ignored.
    """
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return mode, None, DAMAGED
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        meant = MODES.get(opened.profile.xcolor_space.strip())
        if meant == "RGB" and mode == "L":
            mode = "RGB"
        if meant != mode:
            return mode, None, UNFIT
        transform = ImageCms.buildTransform(
            opened, ImageCms.createProfile("sRGB"), mode, "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        if mode == "RGB" and _changes_nothing(transform):
            return mode, None, ""
    except Exception:  # Pillow raises various exceptions for invalid profiles
        return mode, None, DAMAGED
    return mode, lambda band: _applied(transform, band), ""


def lab_conversion() -> Convert:
    """Return the conversion of images in CIELAB, which need no profile."""
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return lambda band: _applied(transform, band)


def _applied(transform: ImageCms.ImageCmsTransform, band: Image.Image) -> Image.Image:
    converted = transform.apply(band)
    assert converted is not None
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether a transform is (nearly) the identity. Most profiles are sRGB, and converting takes longer than
    decoding a JPEG."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    converted = np.asarray(_applied(transform, Image.fromarray(lattice)))
    return bool(np.abs(converted.astype(int) - lattice).max() <= 1)
