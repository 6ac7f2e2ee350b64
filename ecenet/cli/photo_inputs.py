"""What may stand for photos on the command line: files, folders, patterns and `-` for standard input."""

import glob
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.image_file import ImageFile

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".gif", ".tif", ".tiff", ".bmp",
    ".jxl",
)  # fmt: skip
"""Of the files in a folder that are taken for photos."""
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class PhotoInput:
    """One photo, or an argument that stands for none."""

    given: str
    """As it was named, or as it was found in the folder or by the pattern that was."""
    problem: UserError | None = None

    @property
    def path(self) -> Path:
        """From which a name for its results is made."""
        return Path("stdin" if self.given == STANDARD_INPUT else self.given)

    def source(self) -> ImageFile:
        """What `load_image` takes; standard input is read to its end.

        Raises:
            UserError: the argument stands for no photo.
        """
        if self.problem is not None:
            raise self.problem
        return sys.stdin.buffer.read() if self.given == STANDARD_INPUT else self.path


def photo_inputs(arguments: Sequence[str]) -> list[PhotoInput]:
    """One for each photo: those of a folder and those that fit a pattern, by name. A file that has the very name is no
    pattern."""
    return [photo for argument in arguments for photo in _photos(argument)]


def _photos(argument: str) -> list[PhotoInput]:
    path = Path(argument)
    if argument != STANDARD_INPUT and path.is_dir():
        found = sorted(str(one) for one in path.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())
        what = "a folder with photos, but no file in {} is called like one"
    elif argument != STANDARD_INPUT and glob.has_magic(argument) and not path.exists():
        found = sorted(one for one in glob.glob(argument, recursive=True) if Path(one).is_file())
        what = "a pattern that fits photos, but no file fits {}"
    else:
        return [PhotoInput(argument)]
    if not found:
        problem = UserError("file-missing", f"Expected {what.format(argument)}; check the path.")
        return [PhotoInput(argument, problem)]
    return [PhotoInput(one) for one in found]
