"""The exception whose message is shown to users."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ecenet.common.error_codes import ErrorCode

REFUSED: tuple[type[Exception], ...] = (OSError, RuntimeError, SafetensorError)
"""Exceptions that writing to a full disk may raise: Python's, torch's and safetensors'."""


class UserError(Exception):
    """Raised if an input of the user cannot be used.

    The command line prints the message and exits with 2; the app shows it as a toast and logs the code.

    Args:
        code: the kind of error; see `ERROR_CODES`.
        message: one sentence that states what was expected, what was received and what to do.
        facts: values for programs; `ERROR_CODES` lists their names.
    """

    def __init__(self, code: ErrorCode, message: str, **facts: object) -> None:
        super().__init__(code, message)  # so that it can be pickled
        self.code = code
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        return self.message

    def retold(self, message: str) -> "UserError":
        """Return an error with the same code and facts and another message."""
        return UserError(self.code, message, **self.facts)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Convert errors of writing, such as a full disk, to a `UserError` about `path`."""
    try:
        yield
    except REFUSED as error:
        raise UserError(
            "disk-full",
            f"Expected to write {path}, but writing failed ({' '.join(str(error).split())[:120]}); free disk space and "
            "run the same command again. A training resumes from its last checkpoint.",
        ) from error


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Do the same as `disk_errors` for files of the app's visitors: the message does not reveal the path."""
    try:
        yield
    except REFUSED as error:
        raise UserError("disk-full", no_room_for(what, error)) from error


def no_room_for(what: str, error: Exception) -> str:
    """Return the message for a failed write of `what`."""
    reason = error.strerror if isinstance(error, OSError) else None
    return (
        f"Expected to write {what}, but the server's disk failed ({reason or 'it is full'}); "
        "try again later. Your photos are kept."
    )
