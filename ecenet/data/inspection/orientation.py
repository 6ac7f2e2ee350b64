"""Checks whether the masks of photos with an EXIF orientation were drawn on the stored or on the upright pixels."""

from pathlib import Path

from ecenet.data.images import image_orientation, image_size
from ecenet.data.split import LabelledSplit
from ecenet.data.stored_image import QUARTER_TURNS


def size_tells(path: Path, orientation: int) -> bool:
    """Return whether the size of a mask shows its orientation."""
    width, height = image_size(path)
    return orientation in QUARTER_TURNS and width != height


def unsure_orientations(data: LabelledSplit) -> list[Path]:
    """Return the photos with an EXIF orientation whose masks may have been drawn on the stored pixels: square ones, and
    those rotated by 180° or mirrored. The list is empty if the sizes of other masks show that they are upright.

    Raises:
        UserError: an image cannot be opened.
    """
    flagged = [(path, image_orientation(path)) for path in data.images]
    turned = [(path, orientation) for path, orientation in flagged if orientation != 1]
    if any(size_tells(path, orientation) for path, orientation in turned):
        return []  # masks that do not have the size of the upright photo are rejected
    return [path for path, _ in turned]


def orientation_doubt(paths: list[Path], split: str) -> str:
    """Return a warning about these photos."""
    return (
        f"{len(paths)} photos of {split} are rotated by their EXIF orientation (first: {paths[0]}), and their sizes do "
        "not show whether the masks were drawn before or after the rotation. After is assumed; if it was before, run "
        "`python -m ecenet data prepare DATA --out NEW --masks-as-stored`, which rotates the masks as well."
    )
