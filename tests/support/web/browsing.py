"""A real server and a real Chromium, shared by all browser tests and the pictures of README and docs. Screenshots are
kept in `artifacts/`."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import skimage.data
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

from ecenet.training.jobs.status import process_id, run_reports

ROOT = Path(__file__).parents[3]
ARTIFACTS = ROOT / "artifacts"
PHOTOS = Path(skimage.data.__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LONG = 120_000
"""Milliseconds: first predictions and UMAP's import on a busy machine."""
COVERED = """canvas => {
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let covered = 0;
  for (let i = 3; i < data.length; i += 4) covered += data[i] > 0;
  return covered / (canvas.width * canvas.height);
}"""
SEGMENT_PARTS = [
    *("segment-view", "segment-marker", "segment-class", "mask-opacity", "mask-least", "mask-mode"),
    *("mask-boundaries", "mask-names", "mask-unsure"),
]
expect.set_options(timeout=LONG)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the app puts its runs; a training that a failed test left behind is ended."""
    folder = tmp_path_factory.mktemp("runs")
    yield folder
    for run in run_reports(folder):
        pid = process_id(run.folder)
        if run.active and pid is not None:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def address(runs: Path) -> Iterator[str]:
    with served_app(runs) as url:
        yield url


@contextmanager
def served_app(runs: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """The address of an app that is there as long as the context is; options are `app.py`'s."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    ARTIFACTS.mkdir(exist_ok=True)
    with (ARTIFACTS / "app.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--runs", str(runs), *options],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(url, server)
            yield url
        finally:
            server.terminate()
            assert server.wait(timeout=60) == 0, "asked to end, whatever it was at"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stage_button(page: Page, title: str) -> Locator:
    """The filmstrip's picture of a stage, such as "Stage 4"."""
    return page.locator("#segment-view [data-frame]").filter(has_text=re.compile(rf"^\s*{re.escape(title)}"))


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the app ended: {(ARTIFACTS / 'app.log').read_text()}"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the app did not answer within three minutes")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with started_browser() as chromium:
        yield chromium


@contextmanager
def started_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@contextmanager
def opened_page(browser: Browser, address: str) -> Iterator[Page]:
    """The app in a window of its own, in which no script may fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(LONG)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#photo-input")
    yield page
    context.close()
    assert not errors, errors


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened_page(browser, address) as page:
        yield page


@pytest.fixture
def asked(page: Page) -> list[str]:
    """What the Segment tab's own controls and picture ask of the server, however busy other views still are."""
    own = page.evaluate(
        "ids => window.gradio_config.components.filter(c => ids.includes(c.props.elem_id)).map(c => c.id)",
        SEGMENT_PARTS,
    )
    assert len(own) == len(SEGMENT_PARTS)
    sent: list[str] = []

    def note(request: Request) -> None:
        if "/queue/join" in request.url and json.loads(request.post_data or "")["trigger_id"] in own:
            sent.append(str(request.post_data))

    page.on("request", note)
    return sent


def upload(page: Page, path: Path) -> None:
    page.set_input_files("#photo-input input[type=file]", path)


def paint(page: Page, *points: tuple[float, float]) -> None:
    """On the canvas, along points in shares of the photo's width and height."""
    box = page.locator("#easel canvas").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def covered(page: Page) -> float:
    """The painted share of the canvas's photo."""
    share: float = page.locator("#easel canvas").evaluate(COVERED)
    return share


def wait_for_cover(page: Page, least: float, most: float) -> None:
    """Until the painted share of the photo is in between."""
    page.wait_for_function(
        f"([least, most]) => {{ const share = ({COVERED})(document.querySelector('#easel canvas'));"
        " return share >= least && share <= most; }",
        arg=[least, most],
    )
