"""The one exception that a user is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ecenet.common.error_codes import ErrorCode

REFUSED: tuple[type[Exception], ...] = (OSError, RuntimeError, SafetensorError)
"""What a full disk makes writers raise; the last two are torch's and safetensors'."""


class UserError(Exception):
    """Something the user gave cannot be used.

    The command line prints the message and exits with 2; the app shows it as a toast and logs the code.

    Args:
        code: the kind of mistake; `ERROR_CODES` says what each means.
        message: one sentence that says what was expected, what came and what to do.
        facts: values that a program may act on, as `ERROR_CODES` names them.
    """

    def __init__(self, code: ErrorCode, message: str, **facts: object) -> None:
        super().__init__(code, message)  # so that it can be pickled
        self.code = code
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        return self.message

    def retold(self, message: str) -> "UserError":
        """The same mistake in other words."""
        return UserError(self.code, message, **self.facts)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk refuses, such as when it is full, into a `UserError` about `path`."""
    try:
        yield
    except REFUSED as error:
        raise UserError(
            "disk-full",
            f"Expected to write {path}, but the disk refused ({' '.join(str(error).split())[:120]}); "
            "make room and run the same command again: it goes on from the last checkpoint that was written.",
        ) from error


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """The same for a visitor's file: where it would lie is nobody's business, and there is nothing to resume."""
    try:
        yield
    except REFUSED as error:
        raise UserError("disk-full", no_room_for(what, error)) from error


def no_room_for(what: str, error: Exception) -> str:
    """One sentence on what a disk refused."""
    reason = error.strerror if isinstance(error, OSError) else None
    return (
        f"Expected room for {what} on the server's disk, but it refused ({reason or 'it is full'}); "
        "try again once there is room: your photos are kept."
    )
