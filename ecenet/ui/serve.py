"""From a laid-out page to a server: limits, the API's refusals, what fails, MCP."""

import gc
import importlib.util
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from gradio.exceptions import InvalidPathError
from gradio.route_utils import FnIndexInferError

from ecenet.api.files import MAX_UPLOAD_BYTES, NOT_UPLOADED
from ecenet.errors import UserError
from ecenet.journal import adopt_uvicorn
from ecenet.ui.health import Health, health_route
from ecenet.ui.report import full_name, reported

QUEUE = 32
"""Events that may wait for the model."""
NO_SHARE_LINK = (
    "Expected Gradio's service to open a share link, but it cannot be reached; the app is served at its own address "
    "alone, without training."
)
CSS = Path(__file__).parents[2] / "assets" / "app.css"


class Page(gr.Blocks):
    """Says in one sentence what Gradio refuses before any of our functions is called: it would say nothing. And what
    fails in any of them, behind whatever event."""

    async def process_api(self, block_fn: Any, *args: Any, **kwargs: Any) -> Any:
        called = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        with reported(full_name(called.fn)):
            return await super().process_api(block_fn, *args, **kwargs)

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
    health: Health,
    host: str | None,
    port: int | None,
    share: bool = False,
    mcp: bool = False,
    queue: int = QUEUE,
    wait: bool = True,
) -> None:
    """Serve the page, its API and /health.

    Args:
        host: 127.0.0.1 by default, or what a Space sets.
        port: 7860 by default, or the next free one.
        share: at a public address of Gradio's, too.
        mcp: offer the API to MCP clients as well, at /gradio_api/mcp/.
        queue: how many events may wait.
        wait: until the server ends.
    """
    waiting = page.queue(max_size=queue)._queue
    page.launch(
        server_name=host,
        server_port=port,
        share=share,
        theme=gr.themes.Soft(primary_hue="teal", font=["ui-sans-serif", "system-ui", "sans-serif"]),
        css_paths=CSS,
        max_file_size=MAX_UPLOAD_BYTES,
        footer_links=["api", "settings"],
        mcp_server=mcp or None,
        app_kwargs={
            "exception_handlers": dict.fromkeys((TypeError, KeyError, FnIndexInferError), _refused),
            "routes": [health_route(health, waiting=waiting.__len__, queue=queue)],
        },
        prevent_thread_lock=True,
    )
    adopt_uvicorn()
    if share and not page.share_url:
        print(NO_SHARE_LINK, flush=True)
    if wait:
        try:
            page.block_thread()
        finally:
            page.close(verbose=False)
            gc.freeze()  # else the interpreter would look through all objects for seconds before it ends


def _refused(request: Request, error: Exception) -> Response:
    """What Gradio finds wrong with the names in a request; other errors stay errors."""
    if "/call/" not in request.url.path:
        raise error
    sentence = "Expected an endpoint of the API page and its arguments by their names, got others; correct them."
    return JSONResponse({"detail": sentence}, status_code=422)
