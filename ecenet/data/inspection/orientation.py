"""Photos that a flag in their file turns: were their masks drawn on the pixels as stored, or as they are shown?"""

from pathlib import Path

from ecenet.data.images import image_orientation, image_size
from ecenet.data.split import LabelledSplit
from ecenet.data.stored_image import QUARTER_TURNS


def size_tells(path: Path, orientation: int) -> bool:
    """Whether a mask's size alone says which way up it was drawn."""
    width, height = image_size(path)
    return orientation in QUARTER_TURNS and width != height


def unsure_orientations(data: LabelledSplit) -> list[Path]:
    """Photos with an EXIF orientation whose masks may have been drawn on the stored pixels: squares, and those that are
    turned by 180° or mirrored. None where the masks of other photos, whose size tells, fit the upright photo.

    Raises:
        UserError: an image cannot be opened.
    """
    flagged = [(path, image_orientation(path)) for path in data.images]
    turned = [(path, orientation) for path, orientation in flagged if orientation != 1]
    if any(size_tells(path, orientation) for path, orientation in turned):
        return []  # masks of other sizes than the upright photo's are refused
    return [path for path, _ in turned]


def orientation_doubt(paths: list[Path], split: str) -> str:
    """One sentence about them."""
    return (
        f"{len(paths)} photos of {split} are turned by a flag (EXIF orientation; first: {paths[0]}), and their size "
        "does not tell whether their masks were drawn before or after turning. After is assumed; if it was before, "
        "`python -m ecenet data prepare DATA --out NEW --masks-as-stored` turns the masks, too."
    )
