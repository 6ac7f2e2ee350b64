"""Files that are there whole or not at all, and numbers that JSON has no word for."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecenet.common.errors import disk_errors


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` on success and vanishes on failure."""
    partial = path.with_name(f"{path.name}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def json_finite(value: Any) -> Any:
    """Dictionaries, lists and named tuples with null in the place of NaN and infinity; named tuples become
    dictionaries."""
    match value:
        case dict():
            return {key: json_finite(entry) for key, entry in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return json_finite(value._asdict())
        case list():
            return [json_finite(entry) for entry in value]
        case float() if not math.isfinite(value):
            return None
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a file, and its folder where there is none, whole or not at all.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as partial:
            partial.write_text(json.dumps(value, indent=1))


def folders_with(root: Path, *names: str) -> list[Path]:
    """The folders at and below `root` that hold a file of one of these names, sorted; hidden folders are passed by.
    Unlike `Path.glob` it bears folders that vanish meanwhile, as a run's do while it saves."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not set(names).isdisjoint(files):
            found.append(Path(folder))
    return sorted(found)
