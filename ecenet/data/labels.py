"""Class names and colours, as in `classes.json`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.class_lists import MAX_CLASSES, parse_class_list

IGNORE_INDEX = MAX_CLASSES
"""Mask value of pixels that are ignored in training and evaluation."""


@dataclass(frozen=True)
class LabelSet:
    """K classes in the order of the mask values."""

    name: str
    class_names: list[str]
    class_colors: list[list[int]]
    """RGB, 0 … 255."""

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def read_labels(path: Path) -> LabelSet:
    """Read classes from `classes.json`, `{"name": …, "classes": [{"name": …, "color": [r, g, b]}, …]}`, or from any
    other form of `ecenet/data/class_lists.py`.

    Classes without a colour get one of `class_colors`; a data set without a name gets that of its folder.

    Raises:
        UserError: the file is missing, has another form, or contains a class twice.
    """
    if not path.exists():
        raise UserError(
            "file-missing",
            f"Expected {path} with the class names and colours, but there is no such file; "
            'create it with {"classes": [{"name": …, "color": [r, g, b]}, …]}.',
        )
    found = parse_class_list(path)
    return checked_labels(LabelSet(found.title or path.parent.name, found.names, found.shown_colors()), path)


def checked_labels(labels: LabelSet, path: Path) -> LabelSet:
    """Check and return the classes.

    Args:
        path: their file, for messages.
    Raises:
        UserError: there are too few or too many classes, an invalid colour, or a duplicate name.
    """
    bad = [
        name
        for name, color in zip(labels.class_names, labels.class_colors, strict=True)
        if len(color) != 3 or not all(0 <= value <= 255 for value in color)
    ]
    if bad or not 2 <= labels.num_classes <= IGNORE_INDEX:
        raise UserError(
            "invalid-labels",
            f"Expected 2 to {IGNORE_INDEX} classes with three colour values of 0 … 255 each in {path}, "
            f"got {labels.num_classes} classes{f' and a bad colour for {bad[0]}' if bad else ''}; correct the file.",
        )
    twice = [name for name, count in Counter(labels.class_names).items() if count > 1]
    if twice:
        raise UserError(
            "duplicate-entry",
            f"Expected each class name once in {path}, but {twice[0]!r} occurs twice; rename one of them.",
        )
    return labels
