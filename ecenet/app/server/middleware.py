"""What is turned away before Gradio looks at it: routes that this app has no use for, and, where the page may start
trainings and read folders, requests that another site's page makes in the browser of whoever runs the app."""

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
"""Of Gradio's routes below /gradio_api (6.31): those that download for a visitor, start ffmpeg, talk to the Hub or
write files. No option of Gradio's leaves them out; tests/app/server/test_gradio_contract.py fails where it has new
ones."""


class RequestFilter:
    """ASGI middleware.

    Args:
        own_pages_only: whether requests that a browser makes for another site's page are refused.
        names: host names that a request may be for, without ports; empty means any. Whoever makes a name of theirs
            point to this machine (DNS rebinding) is refused by it, as their page then counts as ours.
        proxy: host name at which a reverse proxy shows the app; may be empty.
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
            return "Expected a route that this app has, got one that is switched off here; use its page or its API."
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name, origin = _host_name(f"//{host}"), headers.get("origin")
        if self._names and name not in (*self._names, self._proxy):
            return (
                f"Expected an address of {' or '.join(self._names)}, got one of {name[:80]!r}; open the app there, or "
                "behind a reverse proxy set GRADIO_ROOT_PATH to the address that it shows."
            )
        if not self._own_pages_only or origin is None or urlsplit(origin).netloc == host:
            return None
        if self._proxy and _host_name(origin) == self._proxy:
            return None
        return f"Expected a request of this app's own page, got one of {origin[:80]!r}; open the app itself."


def request_filters(*, own_pages_only: bool, host: str | None) -> list[Middleware]:
    """What FastAPI is to wrap the app with.

    Args:
        own_pages_only: as for `RequestFilter`; strangers' pages may embed an app that does nothing but segment photos.
        host: address that the app listens at; by default Gradio's.
    """
    listens_at = host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    names = LOOPBACK if own_pages_only and listens_at in LOOPBACK else ()
    proxy = _host_name(os.environ.get("GRADIO_ROOT_PATH", ""))
    return [Middleware(RequestFilter, own_pages_only=own_pages_only, names=names, proxy=proxy)]


def _host_name(address: str) -> str:
    """Of an address with a scheme or beginning with //, in lower case; empty where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
