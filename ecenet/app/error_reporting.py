"""What becomes of an event that fails: a sentence for the visitor, a line in the log for whoever runs the app."""

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
    "Something went wrong on our side (reference {reference}); your photos are still here, try again, and tell whoever "
    "runs this page the reference if it stays."
)


@contextmanager
def reported(event: str) -> Iterator[None]:
    """Refusals pass and leave their code in the log, since their sentence may quote a visitor; whatever else goes
    wrong becomes one polite sentence, whose reference the log has, too.

    Args:
        event: name of the function that it calls.
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
    """Of what a decorator or `partial` wraps, such as `ecenet.app.sidebar.photos.build.add`."""
    while inner := getattr(function, "__wrapped__", None) or getattr(function, "func", None):
        function = inner
    return f"{function.__module__}.{function.__qualname__}".replace(".<locals>", "")


def log_refusal(event: str, error: BaseException) -> None:
    """That something a visitor sent was refused: by what and for what kind of mistake, not what it was."""
    code: dict[str, Any] = {"code": error.code} if isinstance(error, UserError) else {}
    log_event(_logger, "refused", during=event, kind=type(error).__name__, **code, where=origin(error))
