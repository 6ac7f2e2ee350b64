"""Reading of class names and colours from text lists, tables and JSON."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError
from ecenet.data.colors import class_colors

MAX_CLASSES = 255
"""Maximum number of classes, since the next value means "ignore"."""
Color = tuple[int, int, int]
HEX = re.compile(r"#([0-9a-fA-F]{6})\b")
THREE = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"
NUMBERS = (re.compile(rf"(?<=[\s,;:=]){THREE}$"), re.compile(rf"^{THREE}(?=[\s,;:=])"))
"""A colour after the name or before it."""
HEADER = re.compile(r"\W*(name|class|label)s?\W+(r|red)\W+(g|green)\W+(b|blue)\b", re.I)
"""The header of a table."""
FORMS = (
    'a name on each line, with a colour ("cat 64 0 0" or "cat #400000") or without; JSON ["cat", …], '
    '[["cat", [64, 0, 0]], …], {"cat": "#400000", …}, {"classes": [{"name": …, "color": …}, …]} or '
    '{"CLASSES": […], "PALETTE": […]}'
)


@dataclass(frozen=True)
class ClassList:
    """Names in the order of the classes, with optional colours."""

    names: list[str] = field(default_factory=list)
    colors: list[Color | None] = field(default_factory=list)
    title: str = ""
    """Name of the data set, if the file contains it."""

    @property
    def has_colors(self) -> bool:
        return bool(self.colors) and all(color is not None for color in self.colors)

    def shown_colors(self) -> list[list[int]]:
        """Return a colour for every class."""
        made = class_colors(self.names)
        return [made[k] if color is None else list(color) for k, color in enumerate(self.colors)]


def class_list(names: list[str], colors: list[Color | None] | None = None) -> ClassList:
    """Create a list of classes; colours are optional."""
    return ClassList(names, colors or [None] * len(names))


def read_class_list(path: Path) -> ClassList:
    """Read a file in any of `FORMS`, or CVAT's `labelmap.txt` (`name:r,g,b:parts:actions`).

    Raises:
        UserError: the file cannot be read, has another form, or contains a class twice.
    """
    found = parse_class_list(path)
    names = found.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not 1 <= len(names) <= MAX_CLASSES:
        problem = f"{twice!r} occurs twice" if twice is not None else f"it has {len(names)} classes"
        raise UserError(
            "invalid-labels", f"Expected 1 to {MAX_CLASSES} different classes in {path}, but {problem}; correct it."
        )
    return found


def parse_class_list(path: Path) -> ClassList:
    """Read a file like `read_class_list`, without checking the number of classes and duplicates.

    Raises:
        UserError: the file cannot be read or has another form.
    """
    title = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            content = json.loads(text)
            entries = _of_json(content)
            if isinstance(content, dict) and "classes" in content:
                title = str(content.get("name", ""))
        else:
            entries = _of_lines(text)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            "invalid-labels", f"Expected classes in {path}, as {FORMS}; but it cannot be read ({error}); correct it."
        ) from error
    return ClassList([name for name, _ in entries], [color for _, color in entries], title)


def _of_lines(text: str) -> list[tuple[str, Color | None]]:
    lines = [line.strip() for line in text.splitlines()]
    entries = [_of_line(line) for line in lines if line and not line.startswith(("#", "//")) and not HEADER.match(line)]
    return [entry for entry in entries if entry[0] != "__ignore__"]


def _of_line(line: str) -> tuple[str, Color | None]:
    cvat = re.fullmatch(r"([^:]+):(\d+,\d+,\d+):[^:]*:[^:]*", line)
    if cvat:
        return cvat[1], _color(list(map(int, cvat[2].split(","))))
    color = None
    if found := HEX.search(line):
        color, line = _color(found[0]), line.replace(found[0], " ")
    elif found := NUMBERS[0].search(line) or NUMBERS[1].search(line):
        color, line = _color([int(value) for value in found.groups()]), line.replace(found[0], " ")
    name = line.strip(" \t,;:\"'")
    if not name:
        raise ValueError(f"no name in {line!r}")
    return ("background" if name == "_background_" else name), color


def _of_json(content: Any) -> list[tuple[str, Color | None]]:
    if isinstance(content, dict) and {"CLASSES", "PALETTE"} <= {key.upper() for key in content}:
        upper = {key.upper(): value for key, value in content.items()}
        return [_entry(name, color) for name, color in zip(upper["CLASSES"], upper["PALETTE"], strict=True)]
    if isinstance(content, dict) and ("classes" in content or not content):
        content = content["classes"]
    if isinstance(content, dict):
        return [_entry(name, color) for name, color in content.items()]
    entries: list[tuple[str, Color | None]] = []
    for one in content:
        if isinstance(one, dict):
            entries.append(_entry(one["name"], one.get("color")))
        elif isinstance(one, list):
            entries.append(_entry(one[0], one[1]))
        else:
            entries.append(_entry(one, None))
    return entries


def _entry(name: Any, color: Any) -> tuple[str, Color | None]:
    try:
        return str(name), _color(color)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"a bad colour for {name}: {error}") from error


def _color(value: Any) -> Color | None:
    if value is None:
        return None
    if isinstance(value, str):
        found = HEX.fullmatch(value if value.startswith("#") else f"#{value}")
        if not found:
            raise ValueError(f"{value!r} is not a colour")
        value = list(bytes.fromhex(found[1]))
    red, green, blue = (int(channel) for channel in value)
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError(f"{value} is not a colour")
    return red, green, blue
