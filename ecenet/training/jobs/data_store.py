"""Copies of training data that the app has unpacked or prepared, and their deletion."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

UNUSED_DAYS = 7
"""Days after which a copy that no run uses is deleted; it can be recreated from its source."""


def data_store(root: Path) -> Path:
    """Return the folder for unpacked and prepared data of the runs below `root`; it is not searched for runs."""
    return root / ".data"


def delete_unused_copies(root: Path, arguments: Iterable[Iterable[str]], *, days: float = UNUSED_DAYS) -> list[Path]:
    """Delete copies that no run uses and that were not used for some days.

    Data of runs is kept, because it is needed to resume or evaluate a run or compute its embeddings.

    Args:
        root: the folder of runs.
        arguments: command-line arguments of every run.
        days: minimum age of the copy's modification time.
    Returns: the deleted copies.
    """
    used = {Path(word).resolve() for words in arguments for word in words if "/" in word}
    deleted = []
    for copy in sorted(data_store(root).glob("*")):
        whole = copy.resolve()
        needed = any(one == whole or whole in one.parents for one in used)
        if not needed and copy.lstat().st_mtime < time.time() - days * 24 * 3600:
            shutil.rmtree(copy, ignore_errors=True) if copy.is_dir() else copy.unlink(missing_ok=True)
            deleted.append(copy)
    return deleted
