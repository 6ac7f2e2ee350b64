"""Photo arguments of the command line: files, folders, patterns and `-` for standard input."""

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
"""Suffixes of photos in a folder."""
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class PhotoInput:
    """A photo, or an argument without photos."""

    given: str
    """The argument, or the path found in its folder or by its pattern."""
    problem: UserError | None = None

    @property
    def path(self) -> Path:
        """Return the path from which the name of the results is made."""
        return Path("stdin" if self.given == STANDARD_INPUT else self.given)

    def source(self) -> ImageFile:
        """Return an argument for `load_image`; standard input is read to its end.

        Raises:
            UserError: there is no photo.
        """
        if self.problem is not None:
            raise self.problem
        return sys.stdin.buffer.read() if self.given == STANDARD_INPUT else self.path


def photo_inputs(arguments: Sequence[str]) -> list[PhotoInput]:
    """Return the photos of the arguments: those in a folder, and those that match a pattern, sorted by name. An
    existing file is not treated as a pattern."""
    return [photo for argument in arguments for photo in _photos(argument)]


def _photos(argument: str) -> list[PhotoInput]:
    path = Path(argument)
    if argument != STANDARD_INPUT and path.is_dir():
        found = sorted(str(one) for one in path.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())
        what = "a folder with photos, but {} contains none"
    elif argument != STANDARD_INPUT and glob.has_magic(argument) and not path.exists():
        found = sorted(one for one in glob.glob(argument, recursive=True) if Path(one).is_file())
        what = "a pattern that matches photos, but no file matches {}"
    else:
        return [PhotoInput(argument)]
    if not found:
        problem = UserError("file-missing", f"Expected {what.format(argument)}; check the path.")
        return [PhotoInput(argument, problem)]
    return [PhotoInput(one) for one in found]
