"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence that says what was expected, what came and what to do.
    The command line prints it and exits with 2; the app shows it as a toast.
    """


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk refuses, such as when it is full, into a `UserError` about `path`."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch's writers raise RuntimeError where the disk is full
        raise UserError(
            f"Expected to write {path}, but the disk refused ({' '.join(str(error).split())[:120]}); "
            "make room and run the same command again: it goes on from the last checkpoint that was written."
        ) from error
