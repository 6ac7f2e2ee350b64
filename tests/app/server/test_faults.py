"""The app as people start it, on a full disk, and asked to end while it is busy: one server for both."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import skimage.data

from tests.support.refusals import assert_names
from tests.support.web.browsing import ROOT

CHELSEA = Path(skimage.data.__file__).parent / "chelsea.png"


@dataclass(frozen=True)
class App:
    process: "subprocess.Popen[str]"
    port: int
    temporary: Path
    """The system's folder for temporary files, as the app sees it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/gradio_api"

    def upload(self) -> httpx.Response:
        with CHELSEA.open("rb") as photo:
            return httpx.post(f"{self.url}/upload", files={"files": photo}, timeout=60)

    def call(self, endpoint: str, uploaded: str, **arguments: str) -> str:
        """Begin a call of the API. Returns where its answer can be read."""
        photo = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
        began = httpx.post(f"{self.url}/call/v2/{endpoint}", json={"photo": photo, **arguments}, timeout=60)
        return f"{self.url}/call/{endpoint}/{began.json()['event_id']}"

    def files(self) -> list[Path]:
        """Of the app's own folder."""
        return [path for path in self.temporary.glob("ecenet-*/**/*") if path.is_file()]

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """A limit on the size of its files stands for the disk: the same calls fail."""
        before = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        yield
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    temporary = tmp_path_factory.mktemp("temporary")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--runs", str(tmp_path_factory.mktemp("runs"))],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"}
        | {"TMPDIR": str(temporary), "GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell has what it runs in the background ignore it, and so would the app.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 180
        while True:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline
            try:
                httpx.get(f"http://127.0.0.1:{port}/", timeout=10)
                break
            except httpx.HTTPError:
                time.sleep(0.3)
        yield App(process, port, temporary)
    finally:
        process.kill()
        process.wait()


def test_a_full_disk_is_one_sentence_and_the_app_goes_on(app: App) -> None:
    (photo,) = app.upload().json()
    abandoned = Path(photo).parents[1] / "tmpabcd"
    abandoned.write_bytes(b"of an upload that broke off long ago")
    os.utime(abandoned, (1, 1))
    before = app.files()
    with app.full_disk():
        refused = app.upload()
        assert refused.status_code == 507
        assert_names(refused.text, "this file", "File too large")
        answer = httpx.get(app.call("segment", photo), timeout=60).text
        assert "event: error" in answer
        assert_names(answer, "the results", "File too large")
    assert not abandoned.exists()
    assert not [path for path in app.files() if path not in before and path.suffix], "nothing half written"
    answer = httpx.get(app.call("segment", photo), timeout=60).text
    assert "event: complete" in answer
    report, overlay = json.loads(answer.rpartition("data: ")[2])
    for file in (report["label_map"], overlay):
        assert Path(file["path"]).stat().st_size > 1000


def test_asked_to_end_it_does_so_at_once_and_leaves_nothing(app: App) -> None:
    """While a photo is looked at, UMAP is being loaded, and a page is open."""
    (photo,) = app.upload().json()
    app.call("faithfulness", photo, class_name="cat")
    time.sleep(0.5)
    children = psutil.Process(app.process.pid).children(recursive=True)
    assert children
    assert app.files()
    with httpx.stream("GET", f"{app.url}/heartbeat/someone", timeout=60) as page:
        next(page.iter_lines())
        asked = time.monotonic()
        app.process.send_signal(signal.SIGINT)
        output, _ = app.process.communicate(timeout=60)
    # Three seconds on a machine with nothing else to do; this one may be busy.
    assert time.monotonic() - asked < 20
    assert app.process.returncode == 0
    assert output.endswith("Stopped.\n")
    assert "Traceback" not in output
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not list(app.temporary.glob("ecenet-*"))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", app.port))
