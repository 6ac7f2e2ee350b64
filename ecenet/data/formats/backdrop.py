"""The background of transparent images."""

import numpy as np
from PIL import Image

LIGHT = 224
"""Grey value, of 255, above which a pixel can hardly be distinguished from white."""
MOST_LIGHT = 0.95
"""Share of light pixels above which an image is placed on black."""


class Visibility:
    """The visible share of an image, and the light share of that, accumulated band by band."""

    def __init__(self) -> None:
        self._visible = self._light = self._pixels = 0.0

    def add(self, colors: Image.Image, alpha: Image.Image) -> None:
        """Add a band.

        Args:
            colors: colours of the band, in any mode without transparency.
            alpha: opacity of the band, mode L.
        """
        opacity = np.asarray(alpha)
        self._pixels += opacity.size
        self._visible += float(opacity.sum(dtype=np.int64)) / 255
        self._light += float(opacity[np.asarray(colors.convert("L")) >= LIGHT].sum(dtype=np.int64)) / 255

    @property
    def vanishes_on_white(self) -> bool:
        """Whether the image has transparent and visible pixels, and the visible ones are nearly all light, as in white
        line art."""
        return 0 < self._visible < 0.99 * self._pixels and self._light >= MOST_LIGHT * self._visible
