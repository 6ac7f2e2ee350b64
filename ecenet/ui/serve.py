"""From a laid-out page to a server: limits, the API's refusals, MCP."""

import importlib.util
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from gradio.exceptions import InvalidPathError
from gradio.route_utils import FnIndexInferError
from starlette.requests import ClientDisconnect
from threadpoolctl import threadpool_limits

from ecenet.api.files import MAX_UPLOAD_BYTES, NOT_UPLOADED
from ecenet.errors import UserError
from ecenet.ui.queue import THREADS, WAITING, VisitorQueue
from ecenet.ui.sessions import Limits, kept_sessions

CSS = Path(__file__).parents[2] / "assets" / "app.css"


class Page(gr.Blocks):
    """Says in one sentence what Gradio refuses before any of our functions is called: it would say nothing."""

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().preprocess_data(*args, **kwargs)
        except gr.Error:
            raise
        except InvalidPathError as error:
            raise gr.Error(NOT_UPLOADED, print_exception=False) from error
        except Exception as error:  # addresses that are refused, downloads that fail, forged files
            raise gr.Error(
                "Expected uploaded files, or public addresses of files, and all arguments, got something else; "
                "upload files first and compare with the API page."
            ) from error


def check_mcp() -> None:
    """Raises:
    UserError: what MCP takes is not installed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise UserError("Expected Gradio's extra for MCP, but it is missing; run pip install 'gradio[mcp]' first.")


def serve(
    page: gr.Blocks,
    *,
    host: str | None,
    port: int | None,
    mcp: bool = False,
    limits: Limits | None = None,
    waiting: int = WAITING,
    wait: bool = True,
) -> None:
    """Serve the page and its API.

    Args:
        host: 127.0.0.1 by default, or what a Space sets.
        port: 7860 by default, or the next free one.
        mcp: offer the API to MCP clients as well, at /gradio_api/mcp/.
        limits: of what visitors have here.
        waiting: how many may wait for the model.
        wait: until the server ends.
    """
    # Several small functions run at once: threads of numpy's products would wait for each other, on a busy machine for
    # a hundred times as long as they compute.
    threadpool_limits(1, user_api="blas")
    sys.setswitchinterval(0.001)  # what computes lets the server answer sooner than it does by default
    page._queue = VisitorQueue(page, waiting=waiting)
    page.launch(
        server_name=host,
        server_port=port,
        theme=gr.themes.Soft(primary_hue="teal", font=["ui-sans-serif", "system-ui", "sans-serif"]),
        css_paths=CSS,
        max_file_size=MAX_UPLOAD_BYTES,
        max_threads=THREADS,
        footer_links=["api", "settings"],
        mcp_server=mcp or None,
        app_kwargs={
            "exception_handlers": {
                **dict.fromkeys((TypeError, KeyError, FnIndexInferError), _refused),
                ClientDisconnect: _gone,
            },
            "lifespan": partial(kept_sessions, limits=limits or Limits()),
        },
        prevent_thread_lock=not wait,
    )


def _gone(request: Request, error: Exception) -> Response:
    """Nobody is there to read it: an upload was broken off."""
    return Response(status_code=400)


def _refused(request: Request, error: Exception) -> Response:
    """What Gradio finds wrong with the names in a request; other errors stay errors."""
    if "/call/" not in request.url.path:
        raise error
    sentence = "Expected an endpoint of the API page and its arguments by their names, got others; correct them."
    return JSONResponse({"detail": sentence}, status_code=422)
