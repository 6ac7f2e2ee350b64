"""Class names and colours, as `classes.json` holds them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.colors import class_colors

IGNORE_INDEX = 255
"""Mask value of pixels that belong to no class: neither trained on nor scored."""


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
    """Read `{"name": …, "classes": [{"name": …, "color": [r, g, b]}, …]}`.

    A class without a colour gets one of `class_colors`.

    Raises:
        UserError: the file is missing, is no JSON, lacks those fields, or names a class twice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        entries = content["classes"]
        names = [str(entry["name"]) for entry in entries]
        own = class_colors(names) if any("color" not in entry for entry in entries) else []
        labels = LabelSet(
            name=str(content.get("name", path.parent.name)),
            class_names=names,
            class_colors=[[int(v) for v in entry.get("color") or own[k]] for k, entry in enumerate(entries)],
        )
    except FileNotFoundError as error:
        raise UserError(
            "file-missing",
            f"Expected {path} with the class names and colours, but there is no such file; "
            'write {"classes": [{"name": …, "color": [r, g, b]}, …]}.',
        ) from error
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "invalid-labels",
            f'Expected {path} to hold {{"classes": [{{"name": …, "color": [r, g, b]}}, …]}}, '
            f"but it does not ({error}); correct the file.",
        ) from error
    return checked_labels(labels, path)


def named_labels(path: Path) -> LabelSet:
    """Read class names, one a line, in the order of the mask values; `__ignore__` is no class.

    Raises:
        UserError: the file cannot be read, or names a class twice.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(
            "invalid-labels", f"Expected a class name on each line of {path}, but it cannot be read ({error})."
        ) from error
    names = [line.replace("_background_", "background") for line in lines if line and line != "__ignore__"]
    return checked_labels(LabelSet(path.parent.name, names, class_colors(names)), path)


def checked_labels(labels: LabelSet, path: Path) -> LabelSet:
    """The same classes.

    Args:
        path: of the file that they come from, for messages.
    Raises:
        UserError: too few or too many, a colour that is none, or a name that comes twice.
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
            f"Expected each class name once in {path}, but {twice[0]!r} comes again; rename one of them.",
        )
    return labels
