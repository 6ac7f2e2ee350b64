"""Options of `data check` and `data prepare`."""

import re
from dataclasses import dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.prepare.encoding import Unknown
from ecenet.data.prepare.samples import Rest


@dataclass(frozen=True)
class PrepareOptions:
    """How labelled photos are read and split."""

    classes: Path | None = None
    """File with the classes: a name per line, optionally with a colour, or JSON. By default, a file beside the data."""
    images: str | None = None
    """Pattern of the photos' paths below the folder, such as '*_sat.jpg'; by default they are detected by name."""
    masks: str | None = None
    """Pattern of the masks' paths; by default they are detected by name."""
    unknown: Unknown = "refuse"
    """Treatment of colours that do not belong to a class."""
    rest: Rest = "background"
    """Label of pixels that no polygon covers."""
    val_share: float = 0.2
    """Share of photos for validation, if the data has no validation split."""
    group: str | None = None
    """Regular expression for the start of file names. Photos with the same match stay in the same split, as needed for
    frames of a film; '[^_]+' matches up to the first `_`."""
    seed: int = 0
    masks_as_stored: bool = False
    """Rotate masks like their photos (EXIF orientation), because they were drawn on the stored pixels."""

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
