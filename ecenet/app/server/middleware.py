"""Requests that are rejected before they reach Gradio: unused routes and, if the page may start trainings and read
folders, cross-site requests."""

import os
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
UNUSED = re.compile(
    r"/(file[=/]\s*https?:|proxy=|process_recording|run-history|runs\b|deep_link|dev/|vibe-|undo-vibe-)", re.IGNORECASE
)
"""Gradio's routes below /gradio_api (6.31) that download files for a visitor, start ffmpeg, access the Hub or write
files. Gradio has no option to disable them; tests/app/server/test_gradio_contract.py fails if there are new ones."""


class RequestFilter:
    """ASGI middleware that rejects requests with status 403.

    Args:
        own_pages_only: whether cross-site requests are rejected.
        names: accepted host names without ports; empty accepts any. This prevents DNS rebinding, in which another
            site's host name points to this machine.
        proxy: host name of a reverse proxy in front of the app, or "".
    """

    def __init__(self, app: ASGIApp, *, own_pages_only: bool, names: Collection[str], proxy: str) -> None:
        self._app = app
        self._own_pages_only = own_pages_only
        self._names = names
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"detail": problem}, status_code=403)(scope, receive, send)

    def _problem(self, scope: Scope) -> str | None:
        _, prefix, route = scope["path"].partition("/gradio_api")
        if prefix and UNUSED.match(route):
            return "Expected a route of this app, got one that is disabled; use the page or its API."
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name, origin = _host_name(f"//{host}"), headers.get("origin")
        if self._names and name not in (*self._names, self._proxy):
            return (
                f"Expected the host {' or '.join(self._names)}, got {name[:80]!r}; open the app at that host, or set "
                "GRADIO_ROOT_PATH to the public URL if it is behind a reverse proxy."
            )
        if not self._own_pages_only or origin is None or urlsplit(origin).netloc == host:
            return None
        if self._proxy and _host_name(origin) == self._proxy:
            return None
        return f"Expected a request of this app's page, got one of {origin[:80]!r}; open the app itself."


def request_filters(*, own_pages_only: bool, host: str | None) -> list[Middleware]:
    """Return the middleware of the app.

    Args:
        own_pages_only: see `RequestFilter`. An app without training may be embedded in other sites.
        host: address that the app listens on; by default Gradio's.
    """
    listens_at = host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    names = LOOPBACK if own_pages_only and listens_at in LOOPBACK else ()
    proxy = _host_name(os.environ.get("GRADIO_ROOT_PATH", ""))
    return [Middleware(RequestFilter, own_pages_only=own_pages_only, names=names, proxy=proxy)]


def _host_name(address: str) -> str:
    """Return the host name of a URL, which may start with //, in lower case, or ""."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
