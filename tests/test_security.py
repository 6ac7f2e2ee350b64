"""What strangers may try against the app as the public gets it; SECURITY.md names a test for each threat.

Forged events go over the wire, to every event that the page has. Whether a file is opened is told by Python itself.
"""

import http.server
import json
import random
import re
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import plotly
import pytest
import safehttpx
import skimage.data
from gradio.data_classes import _StaticFiles
from gradio.utils import get_upload_folder
from helpers import write_folder
from predictions import make_prediction
from serving import FILE, Served
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ecenet import weights
from ecenet.api import fetch
from ecenet.api.files import NOT_UPLOADED
from ecenet.bundle import Entry, write_bundle
from ecenet.ui.guard import guards

ROOT = Path(__file__).parent.parent
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ANSWERS = ("Expected", "Something went wrong on our side", "File ")
"""How sentences begin that a visitor may read; the last is Gradio's, about a path that the visitor sent."""
CLIENT = httpx.Client(timeout=60, verify=False)
_watched: dict[str, list[str]] = {}
"""Folder → files that were opened in it."""


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watched:
        for folder, opened in _watched.items():
            if str(arguments[0]).startswith(folder):
                opened.append(str(arguments[0]))


@contextmanager
def opened_in(folder: Path) -> Iterator[list[str]]:
    """What Python opens there meanwhile; its hooks cannot be taken away again, so this one is for all tests."""
    if not hasattr(_note_opened, "hooked"):
        sys.addaudithook(_note_opened)
        _note_opened.hooked = True  # type: ignore[attr-defined]
    try:
        yield _watched.setdefault(str(folder), [])
    finally:
        del _watched[str(folder)]


@dataclass
class Visitor:
    """One session, which sends whatever it likes."""

    api: Served
    session: str

    @property
    def listeners(self) -> list[dict[str, Any]]:
        """The page's events as its configuration tells every browser, one of each: a view that many events draw is one
        function."""
        found: dict[Any, dict[str, Any]] = {}
        for one in self.api.client.config["dependencies"]:
            name = re.sub(r"_\d+$", "", one["api_name"] or "")
            found.setdefault((name, *one["inputs"], "→", *one["outputs"]), one)
        return list(found.values())

    def listener(self, elem_id: str, *, output: bool = False) -> dict[str, Any]:
        """One that an element begins, or that writes into it."""
        number = self.element(elem_id)["id"]
        return next(
            one
            for one in self.api.client.config["dependencies"]
            if one["backend_fn"] and (number in one["outputs"] if output else number in [t[0] for t in one["targets"]])
        )

    def element(self, elem_id: str) -> dict[str, Any]:
        return next(one for one in self.api.client.config["components"] if one["props"].get("elem_id") == elem_id)

    def inputs(self, listener: dict[str, Any], value: Any) -> list[Any]:
        """A value for each of its inputs, nothing for those that the server keeps."""
        kinds = {one["id"]: one["type"] for one in self.api.client.config["components"]}
        return [None if kinds[number] == "state" else value for number in listener["inputs"]]

    def send(self, calls: list[tuple[dict[str, Any], list[Any], Any]]) -> list[dict[str, Any]]:
        """What the server says in the end to each (listener, data, what came with the event)."""
        url, answers = f"{self.api.address}/gradio_api/queue", {}
        ids = []
        for listener, data, event in calls:
            target = listener["targets"][0][0] if listener["targets"] else None
            body = {"data": data, "event_data": event, "fn_index": listener["id"], "trigger_id": target}
            joined = CLIENT.post(f"{url}/join", json={**body, "session_hash": self.session})
            assert joined.status_code == 200, joined.text
            ids.append(joined.json()["event_id"])
        with CLIENT.stream("GET", f"{url}/data", params={"session_hash": self.session}) as messages:
            for line in messages.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {"msg": ""}
                if message["msg"] == "process_completed":
                    answers[message["event_id"]] = message
        return [answers[event_id] for event_id in ids]

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        posted = CLIENT.post(f"{self.api.address}/gradio_api/upload", files={"files": (name, content)})
        return {"path": posted.json()[0], **FILE}

    def add(self, name: str, content: bytes) -> dict[str, Any]:
        listener = self.listener("photo-input")
        return self.send([(listener, [None, None, self.upload(name, content)], None)])[0]


@pytest.fixture
def visitor(api: Served, request: pytest.FixtureRequest) -> Visitor:
    return Visitor(api, request.node.name)


def sentence(answer: dict[str, Any]) -> str:
    """Of what was refused; what was not is empty."""
    return "" if answer["success"] else str(answer["output"]["error"])


def route(api: Served, path: str, **headers: str) -> httpx.Response:
    return CLIENT.get(f"{api.address}/gradio_api/{path}", headers=headers)


def test_the_file_route_knows_uploads_and_results_alone(api: Served, tmp_path: Path) -> None:
    cache = get_upload_folder()
    for path in (
        "/etc/passwd",
        "/proc/self/environ",
        "app.py",
        ".git",
        ".gitignore",
        str(ROOT / "README.md"),
        str(weights.WEIGHTS_DIR / "voc13" / "config.json"),
        skimage.data.__file__,
        f"{cache}/../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "file:///etc/passwd",
        cache,
        str(tmp_path),
    ):
        assert route(api, f"file={path}").status_code in (403, 404), path
    own = {path for path in _StaticFiles.all_paths if not Path(path).is_relative_to(Path(gr.__file__).resolve().parent)}
    assert {Path(path).resolve() for path in own} == {PLOTLY.resolve()}
    assert route(api, f"file={PLOTLY}").status_code == 200


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.js", "x.xml", "x.pdf", "x", ".htaccess", "...jpg"])
def test_uploads_come_back_as_downloads_and_never_as_pages(api: Served, visitor: Visitor, name: str) -> None:
    active = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    path = visitor.upload(name, active)["path"]
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = route(api, f"file={path}", **headers)
        assert answer.status_code in (200, 206)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")


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
        assert answer.json()["detail"].startswith("Expected a route that this app has")
    video = {"video": ("x.mp4", b"x")}
    assert CLIENT.post(f"{api.address}/gradio_api/process_recording", files=video).status_code == 403
    for path in ("monitoring", "monitoring/summary"):
        assert CLIENT.get(f"{api.address}/{path}").status_code == 403


def test_no_event_opens_a_path_or_fails_without_a_sentence(visitor: Visitor, tmp_path: Path) -> None:
    """Every event of the page, with values of every wrong kind; the server's files are ones that could be read."""
    cat = (Path(skimage.data.__file__).parent / "chelsea.png").read_bytes()
    secret = tmp_path / "secret.png"
    secret.write_bytes(cat)
    unmarked = {"path": str(secret)}
    values = [None, "", str(secret), -1, 1e308, True, [], {}, [str(secret)], unmarked, unmarked | FILE, [unmarked]]
    values += [{"path": f"{get_upload_folder()}/../x"}, {"path": "file:///etc/passwd"}, {"index": [], "map": 1}]
    chance = random.Random(0)
    assert visitor.add("cat.png", cat)["success"]
    with opened_in(tmp_path) as opened:
        listeners = visitor.listeners
        assert len(listeners) > 70
        for start in range(0, len(listeners), 24):
            calls = []
            for listener in listeners[start : start + 24]:
                data = [chance.choice(values) for _ in listener["inputs"]]
                kept = visitor.inputs(listener, "")
                data = [None if keep is None else value for keep, value in zip(kept, data, strict=True)]
                calls.append((listener, data, chance.choice(values)))
            for (listener, data, _), answer in zip(calls, visitor.send(calls), strict=True):
                said = sentence(answer)
                assert answer["success"] or said.startswith(ANSWERS), (listener["api_name"], data, said)
                assert str(ROOT) not in said, (listener["api_name"], data)
        assert not opened


def test_a_path_is_no_photo_however_it_is_dressed(visitor: Visitor, tmp_path: Path) -> None:
    """Of all places where files come in; Gradio itself opens a path that is not marked as a file."""
    secret = tmp_path / "secret.png"
    secret.write_bytes((Path(skimage.data.__file__).parent / "chelsea.png").read_bytes())
    photo = visitor.upload("cat.png", secret.read_bytes())
    assert visitor.send([(visitor.listener("photo-input"), [None, None, photo], None)])[0]["success"]
    with opened_in(tmp_path) as opened:
        for place in ("photo-input", "several-photos", "open-session", "open-bank", "truth-upload", "open-class"):
            listener = visitor.listener(place)
            calls = []
            for file in (
                {"path": str(secret)},
                {"path": str(secret), "url": photo["path"], **FILE},
                {"path": f"{get_upload_folder()}/../{tmp_path.name}/secret.png"},
                {"path": get_upload_folder()},
            ):
                sent = [file] if place == "several-photos" else file
                calls.append((listener, visitor.inputs(listener, sent), None))
            assert {sentence(answer) for answer in visitor.send(calls)} == {NOT_UPLOADED}, place
    assert not opened


def test_what_is_refused_does_not_tell_where_files_lie(visitor: Visitor) -> None:
    cat = (Path(skimage.data.__file__).parent / "chelsea.png").read_bytes()
    assert visitor.add("cat.png", cat)["success"]
    for place, name in (
        ("photo-input", "x.png"),
        ("open-session", "x.zip"),
        ("open-bank", "x.parquet"),
        ("truth-upload", "x.png"),
        ("open-class", "x.safetensors"),
    ):
        listener = visitor.listener(place)
        bad = [visitor.upload(name, content) for content in (b"", b"no such file", cat[:2000])]
        for answer in visitor.send([(listener, visitor.inputs(listener, file), None) for file in bad]):
            said = sentence(answer)
            assert said.startswith("Expected"), (place, said)
            assert "/" not in said.replace("WebP/", ""), (place, said)


def test_an_emptied_or_forged_choice_leaves_the_session_usable(visitor: Visitor) -> None:
    picker, clear = visitor.listener("class-picker"), visitor.listener("clear-photos")
    forged = [(picker, visitor.inputs(picker, value), None) for value in ([], ["cat"], {"cat": 1}, None)]
    *refused, usable = visitor.send([*forged, (clear, [None, None], None)])
    assert all(sentence(answer).startswith("Expected") for answer in refused)
    assert usable["success"]


def test_in_public_there_are_no_trainings_and_no_folders(visitor: Visitor, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", splits=("train", "val"), images=2)
    named = [str(one["props"].get("elem_id", "")) for one in visitor.api.client.config["components"]]
    assert not [one for one in named if one.startswith(("run-", "start-run", "stop-run", "resume-run"))]
    for form in (visitor.element("bank-data"), visitor.element("bank-layout")):
        assert form["id"] in {number for one in visitor.listeners for number in one["inputs"]}, "still can be called"
    with opened_in(tmp_path) as opened:
        drawn = visitor.send([(visitor.listener("confusion", output=True), [None] * 3, None)])
        assert drawn[0]["success"], "the matrix of the bank beside the weights, and a list of its worst images"
        listener = visitor.listener("bank-data")
        (names,) = visitor.send([(listener, [None, None, None, str(data), "folder"], None)])
        assert "<li>" in names["output"]["data"][0]
        assert "<img" not in names["output"]["data"][0]
        card = visitor.listener("cell-images")
        answer = visitor.send([(card, [*[None] * 4, str(data), "folder"], {"index": 0})])
        assert sentence(answer[0]).startswith("Expected the folder of the images")
    assert not opened


def test_only_names_of_the_list_choose_a_model(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_download(*args: object, **options: object) -> None:
        raise AssertionError("nothing may be fetched for a visitor")

    monkeypatch.setattr(weights, "snapshot_download", no_download)
    picker, other = visitor.listener("model-picker"), visitor.listener("other-picker")
    for key in ("owner/name", "../voc13", str(weights.WEIGHTS_DIR / "camvid"), "run:../../etc", "weights:../camvid"):
        calls = [(one, visitor.inputs(one, key), None) for one in (picker, other)]
        for answer in visitor.send(calls):
            assert "got another (Value: " in sentence(answer)


def test_a_folder_that_has_gone_is_not_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(weights, "snapshot_download", lambda *args, **options: asked.append(args))
    with pytest.raises(weights.UserError, match="Expected weights by name"):
        weights.load_model(Path("mine/best"))
    assert not asked


def pages(listens_at: str, *, own_pages_only: bool) -> TestClient:
    """What the guard lets through."""

    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("let through")

    routes = [Route("/{path:path}", answer, methods=["GET", "POST"])]
    app = Starlette(routes=routes, middleware=guards(own_pages_only=own_pages_only, host=listens_at))
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
        assert "Expected a file that can be downloaded" in said(f"{address}/cat.png"), address
    monkeypatch.setattr(safehttpx, "is_public_ip", lambda ip: True)
    monkeypatch.setattr(fetch, "MAX_BYTES", 2 << 20)
    assert said(f"{elsewhere}/cat.png") == ""
    for path in ("away", "gone"):
        assert "Expected a file that can be downloaded" in said(f"{elsewhere}/{path}")
    assert "Expected files of at most 2 MB" in said(f"{elsewhere}/endless")
    assert Elsewhere.sent < 64 << 20, "it has stopped asking"


def test_a_photos_name_is_no_way_out_of_the_saved_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture may be called `...jpg`, whose stem is the folder above; names in a saved session are anybody's."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    prediction = make_prediction(np.zeros((8, 8), dtype=np.uint8))
    names = ["..", ".", "", "../../up", "/etc/passwd", "a\0b", "x" * 5000, "…" * 300, "cat", "cat"]
    write_bundle(tmp_path / "saved.zip", photos=[Entry(name, prediction) for name in names], view={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved.zip", "temporary"]
    assert not any((tmp_path / "temporary").iterdir())
    with zipfile.ZipFile(tmp_path / "saved.zip") as bundle:
        folders = {name.partition("/")[0] for name in bundle.namelist() if "/" in name}
        view = json.loads(bundle.read("view.json"))
    assert {"photo-1", "photo-2", "photo-3", "up", "passwd", "a_b", "cat-1", "cat-2"} < folders
    assert len(folders) == len(names)
    assert [photo["name"] for photo in view["photos"]] == names


def test_every_threat_names_tests_that_there_are() -> None:
    """In SECURITY.md; a name without a file is of the file before it."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "::" in line]
    assert len(rows) > 12
    short = dict(re.findall(r"`([A-Z])`\s+(?:stands )?for\s+\[`(\w+\.py)`\]", text))
    for row in rows:
        file = ""
        for named, test in re.findall(r"`([\w.]*)::(\w+)`", row):
            file = short.get(named, named) or file
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{test}"
