"""Serve the page, its API and /health."""

import os
import sys
from functools import partial

from ecenet.app.server.blocks import REFUSALS, Page
from ecenet.app.server.event_queue import THREADS, VisitorQueue
from ecenet.app.server.health import Health, health_route
from ecenet.app.server.middleware import request_filters
from ecenet.app.server.session_store import kept_sessions
from ecenet.app.server.shutdown import serve_until_signal
from ecenet.app.server.theme import page_theme
from ecenet.app.state.limits import MAX_WAITING, Limits, Retention
from ecenet.app.static_files import STATIC, read_static
from ecenet.common.logs import adopt_uvicorn
from ecenet.common.threads import give_numpy_one_thread

NO_SHARE_LINK = (
    "Expected a share link from Gradio's service, but it cannot be reached; the app is served at its own address only, "
    "without training."
)


def serve(
    page: Page,
    *,
    health: Health | None = None,
    host: str | None,
    port: int | None,
    limits: Limits,
    retention: Retention | None = None,
    queue: int = MAX_WAITING,
    share: bool = False,
    mcp: bool = False,
    wait: bool = True,
) -> None:
    """Serve the page, its API and /health.

    Args:
        health: the report of /health; None omits the route.
        host: address to listen on; by default 127.0.0.1, or the one set by a Space.
        port: by default 7860 or the next free one.
        limits: limits of uploads.
        retention: how long and in how much memory sessions are kept.
        queue: number of events that may wait for the model.
        share: also serve the app at a public URL of Gradio.
        mcp: also serve the API to MCP clients, at /gradio_api/mcp/.
        wait: block until `KeyboardInterrupt`, then stop the server.
    """
    give_numpy_one_thread()
    os.environ.setdefault("GRADIO_RUN_HISTORY", "false")  # or browsers store all inputs, including photos
    sys.setswitchinterval(0.001)  # so that computing threads yield to the server sooner
    # `Blocks.queue()` (6.31) creates Gradio's class only, but `launch` uses an existing queue.
    visitors = page._queue = VisitorQueue(page, limit=queue)
    page.launch(
        server_name=host,
        server_port=port,
        share=share,
        theme=page_theme(),
        css_paths=STATIC / "app.css",
        head="".join(
            f"<script>{read_static(f'page/{name}.js')}</script>"
            for name in ("stream", "search_lists", "keys", "drops", "kept_photos", "lost_photos")
        ),
        max_file_size=limits.bytes,
        max_threads=THREADS,
        footer_links=["api", "settings"],
        mcp_server=mcp or None,
        enable_monitoring=False,
        app_kwargs={
            "middleware": request_filters(own_pages_only=page.private, host=host),
            "exception_handlers": REFUSALS,
            "lifespan": partial(kept_sessions, retention=retention or Retention()),
            "routes": [health_route(health, waiting=visitors.__len__, queue=queue)] if health else [],
        },
        prevent_thread_lock=True,
        # Otherwise Gradio (6.31) requests its page once and fails if a busy machine needs more than three seconds. No
        # longer needed once that timeout can be set.
        _frontend=False,
    )
    adopt_uvicorn()
    if share and not page.share_url:
        print(NO_SHARE_LINK, flush=True)
    if wait:
        serve_until_signal(page)
