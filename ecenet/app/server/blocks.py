"""The page as a server sees it: what Gradio refuses, and what fails, is told in one sentence."""

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
    """Says in one sentence what Gradio refuses before any of our functions is called: it would say nothing. And what
    fails in any of them, behind whatever event.

    Why it overrides three methods of `gr.Blocks` (6.31): an error of Gradio's own checks reaches the page as "Error"
    without a sentence, and there is no other place where all events and all endpoints of the API pass. It would be
    needless if Gradio took a handler for errors of events, as FastAPI does for those of requests. What it relies on:
    tests/app/server/test_gradio_contract.py.

    Args:
        private: whether it starts trainings and reads this machine's folders, so that no other site's page may use it.
        max_bytes: of a file that a client names by its address.
    """

    def __init__(self, *, private: bool = False, max_bytes: int = Limits().bytes, **options: Any) -> None:
        super().__init__(**options)
        self.private = private
        self._max_bytes = max_bytes

    async def process_api(self, block_fn: Any, *args: Any, **kwargs: Any) -> Any:
        called = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if called.fn is None:
            sentence = "Expected an event that the server answers, got one of the browser's own; use the page."
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
        except gr.Error as error:  # a value that no control of the page sends, or a file that nobody uploaded
            raise gr.Error(
                f"Expected a value that the page offers, got another ({error.message[:200]}); choose one of these.",
                print_exception=False,
            ) from error
        except InvalidPathError as error:
            raise gr.Error(NOT_UPLOADED, print_exception=False) from error
        except Exception as error:  # addresses that are refused, downloads that fail, forged files
            raise gr.Error(
                "Expected uploaded files, or public addresses of files, and all arguments, got something else; "
                "upload files first and compare with the API page."
            ) from error

    async def postprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().postprocess_data(*args, **kwargs)
        except OSError as error:  # pictures are files by then
            raise gr.Error(no_room_for("the pictures", error), print_exception=False) from error


def _refused(request: Request, error: Exception) -> Response:
    """What Gradio finds wrong with the names in a request; other errors stay errors."""
    if "/call/" not in request.url.path:
        raise error
    sentence = "Expected an endpoint of the API page and its arguments by their names, got others; correct them."
    return JSONResponse({"detail": sentence}, status_code=422)


def _not_uploaded(request: Request, error: Exception) -> Response:
    """What a full disk refuses while an upload comes in; other errors stay errors."""
    if not request.url.path.endswith("/upload"):
        raise error
    _remove_abandoned(Path(get_upload_folder()))
    return PlainTextResponse(no_room_for("this file", error), status_code=507)


def _remove_abandoned(folder: Path) -> None:
    """What uploads that broke off have left: Gradio (6.31) forgets their temporary files, and on a full disk these take
    the room of others. Needless once its parser deletes what it could not finish."""
    for path in folder.glob("tmp*"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _gone(request: Request, error: Exception) -> Response:
    """Nobody is there to read it: an upload was broken off."""
    return Response(status_code=400)


REFUSALS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    **dict.fromkeys((TypeError, KeyError, FnIndexInferError), _refused),
    OSError: _not_uploaded,
    ClientDisconnect: _gone,
}
"""What the server answers to errors outside of any event."""
