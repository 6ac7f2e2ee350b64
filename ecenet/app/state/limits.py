"""Limits on uploads and on the time and memory for which they are kept, set by the operator of the app."""

from dataclasses import dataclass

from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS

MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow's own limit."""
MAX_WAITING = 100
"""Number of events that may wait for the model."""


@dataclass(frozen=True)
class Limits:
    """Limits of an upload and of a session."""

    megabytes: int = 32
    """Size of a file in MiB."""
    pixels: int = MAX_PIXELS
    """Pixels of an image."""
    photos: int = 20
    """Photos of a session, and of one API call."""

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            UserError: a limit is out of range.
        """
        for name, value, least, most in (
            ("megabytes", self.megabytes, 1, 4096),
            ("pixels", self.pixels, 10_000, MOST_PIXELS),
            ("photos", self.photos, 1, 1000),
        ):
            if not least <= value <= most:
                raise UserError("out-of-range", f"Expected --max-{name} in {least} … {most}, got {value}; correct it.")

    @property
    def bytes(self) -> int:
        return self.megabytes << 20

    def __str__(self) -> str:
        photos = "1 photo" if self.photos == 1 else f"Up to {self.photos} photos"
        return f"{photos}, {self.megabytes} MB and {self.pixels / 1e6:.3g} megapixels each"


@dataclass(frozen=True)
class Retention:
    """How long, and in how much memory, sessions are kept."""

    seconds: float = 3600
    """Idle time after which a session is deleted. Its files are kept twice as long."""
    memory: int = 2 << 30
    """Bytes of memory for all sessions; sessions beyond it are moved to disk until they are used."""
    empty_seconds: float = 60
    """Idle time of empty sessions, since every API call creates one."""
    resting_seconds: float = 5
    """Minimum time after its last event before a session is moved to disk."""
    every: float = 10
    """Seconds between checks."""
