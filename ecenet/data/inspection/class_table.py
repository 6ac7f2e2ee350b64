"""A table of the classes in a data set's masks, and warnings about probable mistakes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.split import LabelledSplit

MAX_ROWS = 40
"""Maximum number of rows of a table; with more classes, only those missing in a split are listed."""
FOREGROUND_SHARE = 0.001
"""Share of pixels above which 255 may be meant as a class if a class has no pixels."""


def class_table(names: Sequence[str], counts: Mapping[str, np.ndarray]) -> str:
    """Return `class_rows` as a text table, with a note if classes are omitted."""
    rows = class_rows(names, counts)
    first, *others = (max(len(row[column]) for row in rows) for column in range(len(rows[0])))
    lines = []
    for name, *figures in rows:
        right = (figure.rjust(width) for figure, width in zip(figures, others, strict=True))
        lines.append("  ".join([name.ljust(first), *right]))
    if note := left_out(names):
        lines.append(f"({note})")
    return "\n".join(lines)


def class_rows(names: Sequence[str], counts: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Return a header and a row for each class, with its photos and its share of pixels in each split.

    Args:
        counts: by split, (images, K + 1) pixels of each class; the last column is ignored pixels.
    """
    rows = [("class", *(title for split in counts for title in (f"{split} photos", "share")))]
    for index, name in enumerate([*names, f"ignored ({IGNORE_INDEX})"]):
        columns = [pixels[:, index] for pixels in counts.values()]
        if not left_out(names) or index == len(names) or any(not column.any() for column in columns):
            cells = []
            for column, pixels in zip(columns, counts.values(), strict=True):
                cells += [str(np.count_nonzero(column)), _percent(column.sum() / max(pixels.sum(), 1))]
            rows.append((name, *cells))
    return rows


def left_out(names: Sequence[str]) -> str:
    """Return a note if a table of that many classes omits some, or ""."""
    return f"of {len(names)} classes, those present in all splits are omitted" if len(names) > MAX_ROWS else ""


def _percent(share: float) -> str:
    """Format a share; `0.0 %` means exactly 0."""
    return "0.0 %" if share == 0 else f"{100 * share:.1f} %" if share >= 0.0005 else "<0.1 %"


def label_doubts(names: Sequence[str], pixels: np.ndarray, *, ignored: float, split: str) -> list[str]:
    """Return warnings about probable mistakes in the masks of a split.

    Args:
        pixels: (K,) labelled pixels of each class.
        ignored: number of pixels with value 255.
    """
    doubts = []
    total = pixels.sum() + ignored
    absent = [name for name, count in zip(names, pixels, strict=True) if count == 0]
    if len(absent) == len(names):
        return [f"No pixel of {split} is labelled: all are {IGNORE_INDEX}, which is ignored."]
    if absent:
        shown = ", ".join(absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
        classes = "class has" if len(absent) == 1 else "classes have"
        doubts.append(f"{len(absent)} {classes} no pixels in the masks of {split}: {shown}.")
    if ignored > total / 2:
        doubts.append(f"{ignored / total:.0%} of the pixels of {split} are {IGNORE_INDEX}, which is ignored.")
    if _foreground_is_ignored(pixels, ignored):
        doubts.append(_foreground_hint(absent[0]))
    return doubts


def _foreground_is_ignored(pixels: np.ndarray, ignored: float) -> bool:
    """Return whether masks have the values 0 and 255, or 0, 1 and 255, and the last class has no pixels, so that 255 is
    probably that class."""
    present = np.flatnonzero(pixels)
    return (
        0 < len(present) <= 2
        and len(pixels) == len(present) + 1
        and present[-1] == len(present) - 1
        and ignored > FOREGROUND_SHARE * (pixels.sum() + ignored)
    )


def _foreground_hint(name: str) -> str:
    return (
        f"If {IGNORE_INDEX} means {name!r} in these masks, `python -m ecenet data prepare DATA --out NEW` writes a "
        f"corrected copy."
    )


def splits_doubts(names: Sequence[str], counts: Mapping[str, np.ndarray]) -> list[str]:
    """Return the warnings for every split; `counts` as in `class_rows`."""
    return [
        doubt
        for split, pixels in counts.items()
        for doubt in label_doubts(names, pixels[:, :-1].sum(axis=0), ignored=int(pixels[:, -1].sum()), split=split)
    ]


def read_doubts(names: Sequence[str], train: np.ndarray, val: np.ndarray) -> list[str]:
    """Return the warnings for both splits of a training, and about classes that only the second has; `train` and `val`
    as in `class_rows`."""
    doubts = splits_doubts(names, {"train": train, "val": val})
    only_val = (train[:, :-1].sum(axis=0) == 0) & (val[:, :-1].sum(axis=0) > 0)
    if only_val.any():
        found = ", ".join(name for name, only in zip(names, only_val, strict=True) if only)
        doubts.append(f"Only the validation masks contain {found}, so it cannot be learned.")
    return doubts


def check_learnable(data: LabelledSplit, counts: np.ndarray) -> None:
    """Check that masks contain more than one class; otherwise an untrained network could score 100 %.

    Args:
        counts: (images, K + 1) pixels, as in `class_rows`.
    Raises:
        UserError: there is only one class. If 255 is probably meant as a class, the message says what to do.
    """
    pixels, ignored = counts[:, :-1].sum(axis=0), int(counts[:, -1].sum())
    present = np.flatnonzero(pixels)
    if len(present) != 1:
        return  # masks without any class are rejected by the sampler
    names, root = data.labels.class_names, Path(data.root)
    remedy = "label pixels of a second class."
    if _foreground_is_ignored(pixels, ignored):
        absent = names[1]
        remedy = (
            f"{ignored / counts.sum():.1%} of their pixels are {IGNORE_INDEX}, which is ignored. If those are "
            f"{absent!r}, run `python -m ecenet data prepare {root} --out {root.with_name(root.name + '-prepared')}`."
        )
    raise UserError(
        "not-enough-data",
        f"Expected masks of at least two classes in {data.split} of {root}, but all labelled pixels of its "
        f"{len(data)} masks are {names[int(present[0])]!r}; {remedy}",
    )
