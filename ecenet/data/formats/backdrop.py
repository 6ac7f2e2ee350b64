"""What a transparent picture is laid on."""

import numpy as np
from PIL import Image

LIGHT = 224
"""Grey value of 255 from which on a pixel can hardly be told from white."""
MOST_LIGHT = 0.95
"""Of what is visible, this share may be light on white."""


class Visibility:
    """How much of a picture can be seen, and how much of that is light; told band by band."""

    def __init__(self) -> None:
        self._visible = self._light = self._pixels = 0.0

    def add(self, colors: Image.Image, alpha: Image.Image) -> None:
        """Args:
        colors: of one band, in any mode without transparency.
        alpha: of mode L.
        """
        opacity = np.asarray(alpha)
        self._pixels += opacity.size
        self._visible += float(opacity.sum(dtype=np.int64)) / 255
        self._light += float(opacity[np.asarray(colors.convert("L")) >= LIGHT].sum(dtype=np.int64)) / 255

    @property
    def vanishes_on_white(self) -> bool:
        """Whether there is something to see, nearly all of it light, and something transparent that it stands out
        against, as with white line art."""
        return 0 < self._visible < 0.99 * self._pixels and self._light >= MOST_LIGHT * self._visible
