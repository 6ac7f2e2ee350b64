"""Atomic file writing, and JSON without NaN and infinity."""

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
    """Yield a temporary path that replaces `path` on success and is deleted on failure."""
    partial = path.with_name(f"{path.name}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def json_finite(value: Any) -> Any:
    """Replace NaN and infinity by None in nested dictionaries and lists; named tuples become dictionaries."""
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
    """Write a file atomically, and create its folder if necessary.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as partial:
            partial.write_text(json.dumps(value, indent=1))


def folders_with(root: Path, *names: str) -> list[Path]:
    """Return the folders at and below `root` that contain a file with one of these names, sorted.

    Hidden folders are skipped. Unlike `Path.glob`, it tolerates folders that are deleted meanwhile, which happens while
    a run saves.
    """
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not set(names).isdisjoint(files):
            found.append(Path(folder))
    return sorted(found)
