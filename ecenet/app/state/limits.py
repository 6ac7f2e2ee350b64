"""What visitors may upload, and for how long and in how much memory it is kept. Whoever starts the app sets it."""

from dataclasses import dataclass

from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS

MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow itself opens nothing larger."""
MAX_WAITING = 100
"""Events that may wait for the model."""


@dataclass(frozen=True)
class Limits:
    """Of one upload, and of a session."""

    megabytes: int = 32
    """Of one file, in MiB, whatever way it comes."""
    pixels: int = MAX_PIXELS
    """Of one image."""
    photos: int = 20
    """Of one session, and of one call of the API."""

    def __post_init__(self) -> None:
        """Raises:
        UserError: a limit is none.
        """
        for name, value, least, most in (
            ("megabytes", self.megabytes, 1, 4096),
            ("pixels", self.pixels, 10_000, MOST_PIXELS),
            ("photos", self.photos, 1, 1000),
        ):
            if not least <= value <= most:
                raise UserError("out-of-range", f"Expected --max-{name} of {least} … {most}, got {value}; correct it.")

    @property
    def bytes(self) -> int:
        return self.megabytes << 20

    def __str__(self) -> str:
        photos = "1 photo" if self.photos == 1 else f"Up to {self.photos} photos"
        return f"{photos}, {self.megabytes} MB and {self.pixels / 1e6:.3g} megapixels each"


@dataclass(frozen=True)
class Retention:
    """Of all sessions together."""

    seconds: float = 3600
    """A session is forgotten when nobody has used it for so long; its files live twice as long."""
    memory: int = 2 << 30
    """Bytes in memory; what goes beyond waits on disk until it is used."""
    empty_seconds: float = 60
    """How long a session is kept that holds nothing: every call of the API makes one."""
    resting_seconds: float = 5
    """Nobody's session is put on disk sooner after its last event."""
    every: float = 10
    """Seconds between two checks."""
