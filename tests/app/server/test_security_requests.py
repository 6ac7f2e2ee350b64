"""Where requests come from and lead to: other sites' pages, other machines, routes that the app has no use for."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import safehttpx
import skimage.data
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ecenet.app.server.middleware import request_filters
from tests.support.refusals import assert_names
from tests.support.web.serving import FILE, Served
from tests.support.web.visitors import CLIENT, Visitor, route, sentence


def test_routes_that_the_page_has_no_use_for_are_closed(api: Served) -> None:
    for path in (
        "file=http://example.com/x.png",
        "file=HTTPS://example.com/x.png",
        "file/http://example.com/x.png",
        "proxy=https://example.hf.space/",
        "run-history/buckets",
        "runs",
        "deep_link?session_hash=x",
        "dev/reload",
        "vibe-code",
    ):
        answer = route(api, path)
        assert answer.status_code == 403, path
        assert_names(answer.json()["detail"], "route")
    video = {"video": ("x.mp4", b"x")}
    assert CLIENT.post(f"{api.address}/gradio_api/process_recording", files=video).status_code == 403
    for path in ("monitoring", "monitoring/summary"):
        assert CLIENT.get(f"{api.address}/{path}").status_code == 403


def pages(listens_at: str, *, own_pages_only: bool) -> TestClient:
    """What the request filter lets through."""

    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("let through")

    routes = [Route("/{path:path}", answer, methods=["GET", "POST"])]
    app = Starlette(routes=routes, middleware=request_filters(own_pages_only=own_pages_only, host=listens_at))
    return TestClient(app, base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(
    ("host", "origin", "passes"),
    [
        ("127.0.0.1:7860", None, True),
        ("127.0.0.1:7860", "http://127.0.0.1:7860", True),
        ("localhost:8000", "http://localhost:8000", True),
        ("[::1]:7860", "http://[::1]:7860", True),
        ("127.0.0.1:7860", "http://evil.example", False),
        ("127.0.0.1:7860", "http://127.0.0.1:8888", False),
        ("127.0.0.1:7860", "null", False),
        ("evil.example:7860", "http://evil.example:7860", False),
        ("evil.example:7860", None, False),
        ("127.0.0.1.evil.example", None, False),
    ],
)
def test_where_folders_are_read_only_the_apps_own_page_may_ask(
    monkeypatch: pytest.MonkeyPatch, host: str, origin: str | None, passes: bool
) -> None:
    monkeypatch.delenv("GRADIO_ROOT_PATH", raising=False)
    headers = {"Host": host, **({} if origin is None else {"Origin": origin})}
    body = json.dumps({"data": [], "fn_index": 0, "session_hash": "x"})
    for kind in ({"Content-Type": "text/plain"}, {"Content-Type": "application/json"}):
        answer = pages("127.0.0.1", own_pages_only=True).post(
            "/gradio_api/queue/join", content=body, headers=headers | kind
        )
        assert (answer.status_code, answer.text == "let through") == ((200, True) if passes else (403, False))


def test_behind_a_proxy_or_in_public_other_names_are_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"Host": "box.example", "Origin": "https://box.example"}
    strange = {"Host": "box.example", "Origin": "https://evil.example"}
    monkeypatch.delenv("GRADIO_ROOT_PATH", raising=False)
    assert pages("127.0.0.1", own_pages_only=True).get("/", headers=named).status_code == 403
    assert pages("0.0.0.0", own_pages_only=True).get("/", headers=named).status_code == 200
    assert pages("0.0.0.0", own_pages_only=True).get("/", headers=strange).status_code == 403
    assert pages("127.0.0.1", own_pages_only=False).get("/", headers=strange).status_code == 200
    monkeypatch.setenv("GRADIO_ROOT_PATH", "https://box.example/ecenet")
    assert pages("127.0.0.1", own_pages_only=True).get("/", headers=named).status_code == 200
    assert pages("127.0.0.1", own_pages_only=True).get("/", headers=strange).status_code == 403


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Another server, which has a picture, a redirect, and a file without an end."""

    sent = 0

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/cat.png")
            self.end_headers()
            return
        self.send_response(200 if self.path != "/gone" else 404)
        self.end_headers()
        content = (Path(skimage.data.__file__).parent / "chelsea.png").read_bytes()
        try:
            while self.path == "/endless":
                type(self).sent += self.wfile.write(bytes(1 << 20))
            self.wfile.write(content)
        except OSError:  # whoever asked has gone
            pass

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def elsewhere() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_addresses_are_followed_to_public_machines_and_no_further_than_uploads_go(
    visitor: Visitor, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(address: str) -> str:
        photo = {"path": address, **FILE}
        return sentence(visitor.send([(visitor.listener("photo-input"), [None, None, photo], None)])[0])

    async def nowhere(name: str) -> list[str]:
        return []

    monkeypatch.setattr(safehttpx, "async_resolve_hostname_google", nowhere)  # which it asks where the system says no
    port = elsewhere.rpartition(":")[2]
    private = [elsewhere, f"http://localhost:{port}", f"http://[::ffff:127.0.0.1]:{port}", f"http://0.0.0.0:{port}"]
    for address in (*private, "http://10.0.0.1", "http://169.254.169.254/latest", "http://[::1]:1"):
        assert_names(said(f"{address}/cat.png"), "downloaded", f"'{address}/cat.png'")
    monkeypatch.setattr(safehttpx, "is_public_ip", lambda ip: True)
    assert said(f"{elsewhere}/cat.png") == ""
    for path in ("away", "gone"):
        assert_names(said(f"{elsewhere}/{path}"), "downloaded", f"'{elsewhere}/{path}'")
    assert_names(said(f"{elsewhere}/endless"), "32 MB", f"'{elsewhere}/endless'")
    assert Elsewhere.sent < 64 << 20, "it has stopped asking"
