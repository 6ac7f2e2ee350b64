"""What the readers of published layouts share: finding folders and files, pairing them, renumbering masks."""

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
"""An image's name at the beginning of a line, spaces in it included."""


def published_labels(name: str) -> LabelSet:
    """Class names and colours of a published data set, from `classes/<name>.json` beside this module."""
    return read_labels(Path(__file__).parent / "classes" / f"{name}.json")


def find_home(candidates: Sequence[Path], *, holds: str) -> Path:
    """The first folder of `candidates` that has something called `holds`: archives are unpacked at different depths.

    Raises:
        UserError: none of them has it.
    """
    for folder in candidates:
        if (folder / holds).exists():
            return folder
    tried = " or ".join(str(folder / holds) for folder in candidates)
    raise UserError("data-missing", f"Expected {tried}, but nothing is there; check --data and unpack what is missing.")


def list_files(folder: Path, pattern: str) -> list[Path]:
    """Files in `folder` that match a glob pattern, sorted by path.

    Raises:
        UserError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise UserError(
            "data-missing", f"Expected {pattern} in {folder}, but there is no such folder; check --data and --split."
        )
    # Some systems put hidden twins of each file ("._cat.jpg") beside it.
    files = sorted(path for path in _glob(folder, pattern) if not path.name.startswith("."))
    if not files:
        raise UserError(
            "data-missing", f"Expected {pattern} in {folder}, but it holds none; unpack the publisher's archive there."
        )
    return files


def _glob(folder: Path, pattern: str) -> list[Path]:
    """As `Path.glob`, but cameras write `.JPG`, too."""
    wanted = re.compile(fnmatch.translate(Path(pattern).name), re.I)
    return [path for path in folder.glob(f"{pattern.rpartition('/')[0] or '.'}/*") if wanted.match(path.name)]


def files_of_stems(folder: Path, stems: Sequence[str], *, suffix: str) -> list[Path]:
    """`folder/STEM.suffix` of each, whether the suffix is there in small or large letters."""
    found = {path.stem: path for path in _glob(folder, f"*{suffix}")} if folder.is_dir() else {}
    return [found.get(stem, folder / f"{stem}{suffix}") for stem in stems]


def listed_stem(line: str) -> str:
    """Of the image that a line of a list names, whatever follows it: the mask, or a number.

    Dots and spaces are part of names; only the suffix of an image is cut off.
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
    """Stems of the images that a split's list names.

    One image a line, as a stem or a path; what follows it on the line (some lists add the mask) is left out.

    Raises:
        UserError: the list is missing or unreadable, names nothing, or names an image twice.
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
            f"Expected {path} to list one image a line, but it cannot be read ({error}); fetch it again.",
        ) from error
    stems = [listed_stem(line) for line in lines if line.strip()]
    if not stems:
        raise UserError("data-missing", f"Expected {path} to list one image a line, but it names none; fetch it again.")
    for first, second in pairwise(sorted(stems)):
        if first == second:
            raise UserError(
                "duplicate-entry",
                f"Expected each image once in {path}, but it names {first} again; remove one of the lines.",
            )
    return stems


def pair_files(
    root: Path,
    split: str,
    labels: LabelSet,
    pairs: Iterable[tuple[Path, Path]],
    decode: Callable[[Path], np.ndarray],
) -> LabelledSplit:
    """A split of (image, mask) pairs whose files all exist.

    Raises:
        UserError: files are missing; it counts them and names the first.
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
    """(size,) uint8, from the publisher's values to class indices.

    Args:
        values: those of the classes, in the order of the classes.
        first: index of the first class.
        other: what every other value becomes.
    """
    table = np.full(size, other, dtype=np.uint8)
    for index, value in enumerate(values, start=first):
        table[value] = index
    return table


def renumber(values: np.ndarray, table: np.ndarray, path: Path) -> np.ndarray:
    """The publisher's values of the mask in `path`, unsigned integers (H, W) → (H, W) uint8 class indices.

    Raises:
        UserError: a value lies beyond the table.
    """
    top = int(values.max(initial=0))
    if top >= len(table):
        raise UserError(
            "unknown-mask-value",
            f"Expected values 0 … {len(table) - 1} in {path}, but it holds {top}; "
            "check that it is the publisher's own file.",
        )
    renumbered: np.ndarray = table[values]
    return renumbered


def read_renumbered(path: Path, *, table: np.ndarray) -> np.ndarray:
    """An 8-bit mask of the publisher's values → (H, W) uint8 class indices."""
    return renumber(read_indices(path), table, path)
