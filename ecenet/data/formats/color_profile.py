"""ICC profiles: the colours that a file means → sRGB, as browsers and screens have it."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

Convert = Callable[[Image.Image], Image.Image]
"""A band in the mode that `profile_conversion` names → RGB."""

MAX_PROFILE_BYTES = 8 << 20
"""Printers' profiles take two or three megabytes."""
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Of Pillow, by what a profile calls its colours."""
DAMAGED = "its colour profile is damaged and was set aside"
UNFIT = "its colour profile is for other colours and was set aside"


def profile_conversion(profile: object, mode: str) -> tuple[str, Convert | None, str]:
    """Relative colorimetric, as browsers convert.

    Args:
        profile: what Pillow found in the file.
        mode: L, RGB, CMYK or LAB; what the image has beside transparency.
    Returns: the mode that bands must have, the conversion to RGB, None where the profile changes nothing or is set
        aside, and a note on the latter.
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
    except Exception:  # Pillow raises its own kinds, and others where a profile says odd things
        return mode, None, DAMAGED
    return mode, lambda band: _applied(transform, band), ""


def lab_conversion() -> Convert:
    """For images in CIELAB, which need no profile."""
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return lambda band: _applied(transform, band)


def _applied(transform: ImageCms.ImageCmsTransform, band: Image.Image) -> Image.Image:
    converted = transform.apply(band)
    assert converted is not None
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Most profiles are some sRGB; to convert them takes longer than to unpack a JPEG."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    converted = np.asarray(_applied(transform, Image.fromarray(lattice)))
    return bool(np.abs(converted.astype(int) - lattice).max() <= 1)
