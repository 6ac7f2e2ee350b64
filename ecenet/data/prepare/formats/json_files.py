"""Functions shared by the readers of annotation files: reading JSON, and finding the listed photos."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError
from ecenet.data.prepare.formats.image_pairs import SUFFIXES


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(
            "file-damaged", f"Expected JSON in {path}, but it cannot be read ({error}); export it again."
        ) from error


def malformed(path: Path, kind: str, error: Exception) -> UserError:
    """Return the error for an annotation file with missing or invalid fields."""
    problem = f"{type(error).__name__}: {error}"
    return UserError(
        "wrong-file", f"Expected {kind} in {path}, but its content is invalid ({problem}); export it again."
    )


class PhotoFinder:
    """Finds photos below a folder by the names in annotation files, which may be paths of another machine or file
    names."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] = {}
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                self._by_name.setdefault(path.name.lower(), []).append(path)

    def find(self, name: str, *, beside: Path) -> Path | None:
        """Return the photo of that name, or None. Of several, it is the one whose path agrees best from its end.

        Args:
            beside: the annotation file.
        """
        name = name.replace("\\", "/")
        direct = beside.parent / name
        if direct.is_file():
            return direct
        candidates = self._by_name.get(Path(name).name.lower(), [])
        wanted = Path(name).parts[::-1]
        splits = {beside.stem.lower(), *(part.lower() for part in beside.parent.parts)}

        def fit(path: Path) -> tuple[int, int]:
            parts = path.parts[::-1]
            alike = next((n for n, (a, b) in enumerate(zip(parts, wanted, strict=False)) if a.lower() != b.lower()), 99)
            return alike, sum(part.lower() in splits for part in path.parts[:-1])

        return max(candidates, key=fit, default=None)


def missing_note(names: Iterable[str], kind: str) -> list[str]:
    """Return a note on listed photos that do not exist."""
    gone = list(names)
    if not gone:
        return []
    shown = ", ".join(gone[:3]) + (" …" if len(gone) > 3 else "")
    return [f"{len(gone)} photos listed in {kind} do not exist and are omitted: {shown}."]
