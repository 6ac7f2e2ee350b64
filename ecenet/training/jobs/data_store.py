"""Copies of training data that the app unpacked or prepared, and when they are deleted."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

UNUSED_DAYS = 7
"""A copy that no run was started with is deleted after so many days; it can be made again from its source."""


def data_store(root: Path) -> Path:
    """Where data is unpacked and prepared for runs below `root`; no run is looked for there."""
    return root / ".data"


def delete_unused_copies(root: Path, arguments: Iterable[Iterable[str]], *, days: float = UNUSED_DAYS) -> list[Path]:
    """Delete what nobody has looked at for some days and no run was started with.

    A run needs its data again when it is resumed, evaluated or its embeddings are computed.

    Args:
        root: the folder of runs.
        arguments: the command-line words of every run.
        days: since the folder was last changed.
    Returns: what was deleted.
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
