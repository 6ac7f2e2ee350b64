"""Error messages for events and requests that fail or that Gradio rejects."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from gradio.exceptions import InvalidPathError
from gradio.route_utils import FnIndexInferError
from gradio.utils import get_upload_folder
from starlette.requests import ClientDisconnect

from ecenet.app.error_reporting import full_name, reported
from ecenet.app.state.limits import Limits
from ecenet.app.uploads.fetch import fetch_all
from ecenet.app.uploads.files import NOT_UPLOADED, check_uploads
from ecenet.common.errors import UserError, no_room_for

ABANDONED_SECONDS = 600


class Page(gr.Blocks):
    """`gr.Blocks` with an error message for inputs that Gradio rejects, and for exceptions in any event's function.

    It overrides three methods of `gr.Blocks` (6.31), because errors of Gradio's own checks reach the page as "Error"
    without a message, and all events and API endpoints pass through these methods only. This is no longer needed once
    Gradio accepts an exception handler for events, as FastAPI does for requests. The assumptions about Gradio are
    tested in tests/app/server/test_gradio_contract.py.

    Args:
        private: whether the page starts trainings and reads this machine's folders, so that other sites may not use it.
        max_bytes: size limit of files that a client names by URL.
    """

    def __init__(self, *, private: bool = False, max_bytes: int = Limits().bytes, **options: Any) -> None:
        super().__init__(**options)
        self.private = private
        self._max_bytes = max_bytes

    async def process_api(self, block_fn: Any, *args: Any, **kwargs: Any) -> Any:
        called = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if called.fn is None:
            sentence = "Expected an event with a server function, got one that runs in the browser; use the page."
            raise gr.Error(sentence, print_exception=False)
        with reported(full_name(called.fn)):
            return await super().process_api(block_fn, *args, **kwargs)

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        try:
            check_uploads(inputs)
            inputs = await fetch_all(inputs, limit=self._max_bytes)
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except gr.Error as error:  # a value that no control of the page sends, or a file that was not uploaded
            raise gr.Error(
                f"Expected a value that the page offers, got another one ({error.message[:200]}); choose one of these.",
                print_exception=False,
            ) from error
        except InvalidPathError as error:
            raise gr.Error(NOT_UPLOADED, print_exception=False) from error
        except Exception as error:  # rejected URLs, failed downloads, invalid files
            raise gr.Error(
                "Expected all arguments, with files uploaded or given by public URLs, got something else; "
                "upload files first and see the API page."
            ) from error

    async def postprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().postprocess_data(*args, **kwargs)
        except OSError as error:  # Gradio writes pictures to files here
            raise gr.Error(no_room_for("the pictures", error), print_exception=False) from error


def _refused(request: Request, error: Exception) -> Response:
    """Respond to unknown endpoint or argument names in API calls; raise other errors again."""
    if "/call/" not in request.url.path:
        raise error
    sentence = "Expected an endpoint and argument names from the API page, got others; correct them."
    return JSONResponse({"detail": sentence}, status_code=422)


def _not_uploaded(request: Request, error: Exception) -> Response:
    """Respond to a full disk during an upload; raise other errors again."""
    if not request.url.path.endswith("/upload"):
        raise error
    _remove_abandoned(Path(get_upload_folder()))
    return PlainTextResponse(no_room_for("this file", error), status_code=507)


def _remove_abandoned(folder: Path) -> None:
    """Delete temporary files of aborted uploads, which Gradio (6.31) does not delete. No longer needed once it does."""
    for path in folder.glob("tmp*"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _gone(request: Request, error: Exception) -> Response:
    """Respond to an aborted upload; nobody reads the response."""
    return Response(status_code=400)


REFUSALS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    **dict.fromkeys((TypeError, KeyError, FnIndexInferError), _refused),
    OSError: _not_uploaded,
    ClientDisconnect: _gone,
}
"""Exception handlers for errors outside of events."""
