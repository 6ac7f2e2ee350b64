"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

REFUSED: tuple[type[Exception], ...] = (OSError, RuntimeError, SafetensorError)
"""What a full disk makes writers raise; the last two are torch's and safetensors'."""


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
    except REFUSED as error:
        raise UserError(
            f"Expected to write {path}, but the disk refused ({' '.join(str(error).split())[:120]}); "
            "make room and run the same command again: it goes on from the last checkpoint that was written."
        ) from error


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """The same for a visitor's file: where it would lie is nobody's business, and there is nothing to resume."""
    try:
        yield
    except REFUSED as error:
        raise UserError(no_room_for(what, error)) from error


def no_room_for(what: str, error: Exception) -> str:
    """One sentence on what a disk refused."""
    reason = error.strerror if isinstance(error, OSError) else None
    return (
        f"Expected room for {what} on the server's disk, but it refused ({reason or 'it is full'}); "
        "try again once there is room: your photos are kept."
    )
