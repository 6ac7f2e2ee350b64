"""Handling of failed events: a message for the visitor, and a line in the log for the operator of the app."""

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from ecenet.common.errors import UserError
from ecenet.common.logs import log_event, origin

_logger = logging.getLogger(__name__)
SORRY = (
    "Something went wrong on the server (reference {reference}). Your photos are still here. Try again; if the error "
    "persists, report the reference to the operator of this page."
)


@contextmanager
def reported(event: str) -> Iterator[None]:
    """Log the errors of an event.

    A `gr.Error` is raised again, and only its code is logged, since its message may quote a visitor's input. Any other
    exception is logged with a reference number and becomes a `gr.Error` that states the number.

    Args:
        event: name of the event's function.
    """
    start = time.perf_counter()
    try:
        yield
    except gr.Error as error:
        log_refusal(event, error.__cause__ or error)
        raise
    except Exception as error:
        reference = secrets.token_hex(4)
        log_event(_logger, "failed", level="error", during=event, reference=reference, error=error)
        raise gr.Error(SORRY.format(reference=reference), print_exception=False) from error
    log_event(
        _logger, "answered", level="debug", during=event, milliseconds=round(1000 * (time.perf_counter() - start), 1)
    )


def full_name(function: Any) -> str:
    """Return the name of the function inside decorators and `partial`, such as
    `ecenet.app.sidebar.photos.build.add`."""
    while inner := getattr(function, "__wrapped__", None) or getattr(function, "func", None):
        function = inner
    return f"{function.__module__}.{function.__qualname__}".replace(".<locals>", "")


def log_refusal(event: str, error: BaseException) -> None:
    """Log that an input was rejected: by which function and with which error code, but not the input."""
    code: dict[str, Any] = {"code": error.code} if isinstance(error, UserError) else {}
    log_event(_logger, "refused", during=event, kind=type(error).__name__, **code, where=origin(error))
