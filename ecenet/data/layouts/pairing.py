"""Functions shared by the readers of layouts: finding folders and files, pairing them, renumbering masks."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX, LabelSet, read_labels
from ecenet.data.split import LabelledSplit, read_indices

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
FILE_NAME = re.compile(rf"(.+?(?:{'|'.join(re.escape(suffix) for suffix in sorted(IMAGE_SUFFIXES))}))(?:\s|$)", re.I)
"""The name of an image at the start of a line, which may contain spaces."""


def published_labels(name: str) -> LabelSet:
    """Return the class names and colours of a published data set from `classes/<name>.json` beside this module."""
    return read_labels(Path(__file__).parent / "classes" / f"{name}.json")


def find_home(candidates: Sequence[Path], *, holds: str) -> Path:
    """Return the first folder of `candidates` that contains `holds`, since archives may be unpacked at different
    depths.

    Raises:
        UserError: none of them contains it.
    """
    for folder in candidates:
        if (folder / holds).exists():
            return folder
    tried = " or ".join(str(folder / holds) for folder in candidates)
    raise UserError("data-missing", f"Expected {tried}, but it does not exist; check --data and unpack the data set.")


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files in `folder` that match a glob pattern, sorted by path.

    Raises:
        UserError: the folder is missing, or no file matches.
    """
    if not folder.is_dir():
        raise UserError(
            "data-missing", f"Expected {pattern} in {folder}, but there is no such folder; check --data and --split."
        )
    # Some systems create hidden files such as "._cat.jpg".
    files = sorted(path for path in _glob(folder, pattern) if not path.name.startswith("."))
    if not files:
        raise UserError(
            "data-missing", f"Expected {pattern} in {folder}, but there are none; unpack the publisher's archive there."
        )
    return files


def _glob(folder: Path, pattern: str) -> list[Path]:
    """Do the same as `Path.glob`, but ignore case, since cameras also write `.JPG`."""
    wanted = re.compile(fnmatch.translate(Path(pattern).name), re.I)
    return [path for path in folder.glob(f"{pattern.rpartition('/')[0] or '.'}/*") if wanted.match(path.name)]


def files_of_stems(folder: Path, stems: Sequence[str], *, suffix: str) -> list[Path]:
    """Return `folder/STEM.suffix` of each stem; the suffix may be lower or upper case."""
    found = {path.stem: path for path in _glob(folder, f"*{suffix}")} if folder.is_dir() else {}
    return [found.get(stem, folder / f"{stem}{suffix}") for stem in stems]


def listed_stem(line: str) -> str:
    """Return the stem of the image in a line of a list; a following mask or number is ignored.

    Names may contain dots and spaces; only the suffix of an image is removed.
    """
    line = line.strip().replace("\\", "/")
    named = FILE_NAME.match(line)
    if named:
        return Path(named[1]).stem
    words = line.split()
    if len(words) == 2 and (words[0] == words[1] or re.fullmatch(r"[-+]?\d+", words[1])):
        line = words[0]
    return Path(line).name


def read_list(path: Path) -> list[str]:
    """Return the stems of the images in the list of a split.

    Each line has an image as a stem or a path; anything after it, such as the mask in some lists, is ignored.

    Raises:
        UserError: the list is missing, unreadable or empty, or contains an image twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        others = sorted(other.name for other in path.parent.glob("*.txt"))
        found = f"the folder only has {', '.join(others)}" if others else "there is no such file"
        raise UserError(
            "data-missing", f"Expected the list of the split's images in {path}, but {found}; check --data and --split."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            "file-damaged",
            f"Expected {path} to list one image per line, but it cannot be read ({error}); download it again.",
        ) from error
    stems = [listed_stem(line) for line in lines if line.strip()]
    if not stems:
        raise UserError(
            "data-missing", f"Expected {path} to list one image per line, but it is empty; download it again."
        )
    for first, second in pairwise(sorted(stems)):
        if first == second:
            raise UserError(
                "duplicate-entry",
                f"Expected each image once in {path}, but {first} occurs twice; remove one of the lines.",
            )
    return stems


def pair_files(
    root: Path,
    split: str,
    labels: LabelSet,
    pairs: Iterable[tuple[Path, Path]],
    decode: Callable[[Path], np.ndarray],
) -> LabelledSplit:
    """Create a split from (image, mask) pairs and check that all files exist.

    Raises:
        UserError: files are missing; the message states their number and the first.
    """
    images, masks = (list(paths) for paths in zip(*pairs, strict=True))
    for kind, paths in (("image", images), ("mask", masks)):
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise UserError(
                "data-missing",
                f"Expected {len(paths)} {kind}s for split {split} of {root}, but {len(missing)} are missing "
                f"(first: {missing[0]}); unpack the publisher's archives completely.",
            )
    return LabelledSplit(root, split, labels, images, masks, decode)


def class_table(values: Iterable[int], *, size: int, first: int = 0, other: int = IGNORE_INDEX) -> np.ndarray:
    """Return a table, (size,) uint8, from the publisher's values to class indices.

    Args:
        values: the values of the classes, in the order of the classes.
        first: index of the first class.
        other: index for all other values.
    """
    table = np.full(size, other, dtype=np.uint8)
    for index, value in enumerate(values, start=first):
        table[value] = index
    return table


def renumber(values: np.ndarray, table: np.ndarray, path: Path) -> np.ndarray:
    """Convert a mask with the publisher's values, unsigned integers (H, W), to (H, W) uint8 class indices.

    Args:
        path: the file of the mask, for messages.
    Raises:
        UserError: a value is not in the table.
    """
    top = int(values.max(initial=0))
    if top >= len(table):
        raise UserError(
            "unknown-mask-value",
            f"Expected values 0 … {len(table) - 1} in {path}, but it contains {top}; "
            "check that it is the publisher's own file.",
        )
    renumbered: np.ndarray = table[values]
    return renumbered


def read_renumbered(path: Path, *, table: np.ndarray) -> np.ndarray:
    """Read an 8-bit mask with the publisher's values as (H, W) uint8 class indices."""
    return renumber(read_indices(path), table, path)
