"""What can be chosen about how labelled photos are prepared."""

import re
from dataclasses import dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.prepare.encoding import Unknown
from ecenet.data.prepare.samples import Rest


@dataclass(frozen=True)
class PrepareOptions:
    """How labelled photos are read and divided."""

    classes: Path | None = None
    """A list of classes: a name a line, with its colour or without, or JSON; by default what lies beside the data."""
    images: str | None = None
    """Pattern of the photos' paths below the folder, such as '*_sat.jpg'; by default found by names."""
    masks: str | None = None
    """Pattern of the masks' paths, likewise."""
    unknown: Unknown = "refuse"
    """What becomes of colours that no class has."""
    rest: Rest = "background"
    """What pixels are that no polygon covers."""
    val_share: float = 0.2
    """Of the photos, for validation, where the data has no split for that."""
    group: str | None = None
    """Regular expression that matches the beginning of names; photos for which that is the same stay together, as
    frames of one film should: '[^_]+' takes all up to the first `_`."""
    seed: int = 0
    masks_as_stored: bool = False
    """Masks were drawn on the stored pixels of photos that a flag (EXIF orientation) turns, so they are turned, too."""

    def __post_init__(self) -> None:
        if not 0 < self.val_share < 1:
            raise UserError(
                "out-of-range",
                f"Expected --val-share between 0 and 1, got {self.val_share}; choose a share such as 0.2.",
            )
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise UserError(
                "invalid-value",
                f"Expected --group to be a regular expression, got {self.group!r} ({error}); correct it.",
            ) from error
