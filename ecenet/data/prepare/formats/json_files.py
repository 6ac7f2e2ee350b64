"""What the readers of annotation files share: reading them, and finding the photos that they name."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError
from ecenet.data.prepare.formats.image_pairs import SUFFIXES


def read_json(path: Path) -> Any:
    """Raises:
    UserError: the file is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(
            "file-damaged", f"Expected JSON in {path}, but it cannot be read ({error}); export it again."
        ) from error


def malformed(path: Path, kind: str, error: Exception) -> UserError:
    """What a file of a known kind lacks."""
    problem = f"{type(error).__name__}: {error}"
    return UserError("wrong-file", f"Expected {kind} in {path}, but it is not ({problem}); export it again.")


class PhotoFinder:
    """Photos below a folder, by what annotation files call them: a path from anywhere, or a bare name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] = {}
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                self._by_name.setdefault(path.name.lower(), []).append(path)

    def find(self, name: str, *, beside: Path) -> Path | None:
        """The photo, the one with the longest common end of its path where several have the name; None without any.

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
    """One note on photos that are named and not there."""
    gone = list(names)
    if not gone:
        return []
    shown = ", ".join(gone[:3]) + (" …" if len(gone) > 3 else "")
    return [f"{len(gone)} photos that {kind} name are not there and are left out: {shown}."]
