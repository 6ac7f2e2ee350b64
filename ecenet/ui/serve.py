"""From a laid-out page to a server: limits, the API's refusals, MCP."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from gradio.exceptions import InvalidPathError
from gradio.route_utils import FnIndexInferError

from ecenet.api.fetch import fetch_all
from ecenet.api.files import MAX_UPLOAD_BYTES, NOT_UPLOADED, check_uploads
from ecenet.errors import UserError
from ecenet.ui.guard import guards

CSS = Path(__file__).parents[2] / "assets" / "app.css"


class Page(gr.Blocks):
    """Says in one sentence what Gradio refuses before any of our functions is called: it would say nothing.

    Args:
        private: whether it starts trainings and reads this machine's folders, so that no other site's page may use it.
    """

    def __init__(self, *, private: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.private = private

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        if block_fn.fn is None:
            sentence = "Expected an event that the server answers, got one of the browser's own; use the page."
            raise gr.Error(sentence, print_exception=False)
        try:
            check_uploads(inputs)
            inputs = await fetch_all(inputs)
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


def check_mcp() -> None:
    """Raises:
    UserError: what MCP takes is not installed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise UserError("Expected Gradio's extra for MCP, but it is missing; run pip install 'gradio[mcp]' first.")


def serve(page: Page, *, host: str | None, port: int | None, mcp: bool = False, wait: bool = True) -> None:
    """Serve the page and its API.

    Args:
        host: 127.0.0.1 by default, or what a Space sets.
        port: 7860 by default, or the next free one.
        mcp: offer the API to MCP clients as well, at /gradio_api/mcp/.
        wait: until the server ends.
    """
    os.environ.setdefault("GRADIO_RUN_HISTORY", "false")  # or browsers keep what visitors send, photos too
    page.queue(max_size=32).launch(
        server_name=host,
        server_port=port,
        theme=gr.themes.Soft(primary_hue="teal", font=["ui-sans-serif", "system-ui", "sans-serif"]),
        css_paths=CSS,
        max_file_size=MAX_UPLOAD_BYTES,
        footer_links=["api", "settings"],
        mcp_server=mcp or None,
        enable_monitoring=False,
        app_kwargs={
            "exception_handlers": dict.fromkeys((TypeError, KeyError, FnIndexInferError), _refused),
            "middleware": guards(own_pages_only=page.private, host=host),
        },
        prevent_thread_lock=not wait,
    )


def _refused(request: Request, error: Exception) -> Response:
    """What Gradio finds wrong with the names in a request; other errors stay errors."""
    if "/call/" not in request.url.path:
        raise error
    sentence = "Expected an endpoint of the API page and its arguments by their names, got others; correct them."
    return JSONResponse({"detail": sentence}, status_code=422)
