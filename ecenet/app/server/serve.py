"""From a laid-out page to a server: who may wait, what is kept, MCP, /health, and how it ends."""

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
    "Expected Gradio's service to open a share link, but it cannot be reached; the app is served at its own address "
    "alone, without training."
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
        health: what /health tells; None leaves it out.
        host: 127.0.0.1 by default, or what a Space sets.
        port: 7860 by default, or the next free one.
        limits: of uploads.
        retention: what visitors have here, and for how long.
        queue: how many events may wait for the model.
        share: at a public address of Gradio's, too.
        mcp: offer the API to MCP clients as well, at /gradio_api/mcp/.
        wait: until `KeyboardInterrupt`, which ends the server.
    """
    give_numpy_one_thread()
    os.environ.setdefault("GRADIO_RUN_HISTORY", "false")  # or browsers keep what visitors send, photos too
    sys.setswitchinterval(0.001)  # what computes lets the server answer sooner than it does by default
    # `Blocks.queue()` (6.31) makes a queue of Gradio's own class only; `launch` takes the one that is there.
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
        # Without it Gradio (6.31) asks for its own page once, and gives up when a busy machine takes three seconds for
        # that. Needless once that time can be chosen.
        _frontend=False,
    )
    adopt_uvicorn()
    if share and not page.share_url:
        print(NO_SHARE_LINK, flush=True)
    if wait:
        serve_until_signal(page)
