"""From a laid-out page to a server: limits, the API's refusals, MCP."""

import contextlib
import importlib.util
import time
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from gradio.exceptions import InvalidPathError
from gradio.route_utils import FnIndexInferError
from gradio.utils import get_upload_folder

from ecenet.api.files import MAX_UPLOAD_BYTES, NOT_UPLOADED
from ecenet.errors import UserError, no_room_for
from ecenet.ui.ending import serve_until_asked

ABANDONED_SECONDS = 600
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

    async def postprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().postprocess_data(*args, **kwargs)
        except OSError as error:  # pictures are files by then
            raise gr.Error(no_room_for("the pictures", error), print_exception=False) from error


def check_mcp() -> None:
    """Raises:
    UserError: what MCP takes is not installed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise UserError("Expected Gradio's extra for MCP, but it is missing; run pip install 'gradio[mcp]' first.")


def serve(page: gr.Blocks, *, host: str | None, port: int | None, mcp: bool = False, wait: bool = True) -> None:
    """Serve the page and its API.

    Args:
        host: 127.0.0.1 by default, or what a Space sets.
        port: 7860 by default, or the next free one.
        mcp: offer the API to MCP clients as well, at /gradio_api/mcp/.
        wait: until `KeyboardInterrupt`, which ends the server.
    """
    page.queue(max_size=32).launch(
        server_name=host,
        server_port=port,
        theme=gr.themes.Soft(primary_hue="teal", font=["ui-sans-serif", "system-ui", "sans-serif"]),
        css_paths=CSS,
        max_file_size=MAX_UPLOAD_BYTES,
        footer_links=["api", "settings"],
        mcp_server=mcp or None,
        app_kwargs={
            "exception_handlers": {
                **dict.fromkeys((TypeError, KeyError, FnIndexInferError), _refused),
                OSError: _not_uploaded,
            }
        },
        prevent_thread_lock=True,
    )
    if wait:
        serve_until_asked(page)


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
    """What uploads that broke off have left: Gradio forgets it, and on a full disk it takes the room of others."""
    for path in folder.glob("tmp*"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
