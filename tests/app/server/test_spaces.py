"""The app as a Space runs it: `python app.py`, and nothing told but by variables. On ZeroGPU with a stand-in for what
lends the GPU, see `zero_gpu/spaces.py`; how Hugging Face's own behaves on a GPU is not tested here. `make spaces` runs
them alone, `make spaces VENV=… PYTHON=python3.12` under another Python."""

import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import skimage.data
from PIL import Image

from tests.support.refusals import assert_names
from tests.support.web.serving import FILE, patient_client
from tests.support.web.visitors import Visitor, sentence

pytestmark = pytest.mark.spaces
ROOT = Path(__file__).parents[3]
STAND_IN = ROOT / "tests" / "support" / "zero_gpu"
CAT = (Path(skimage.data.__file__).parent / "chelsea.png").read_bytes()


@contextmanager
def space(folder: Path, **variables: str) -> Iterator[Visitor]:
    """A visitor of the app with a Space's variables; it may write in a folder of its own only."""

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {
        "SPACE_ID": "me/ecenet",
        "SPACE_AUTHOR_NAME": "me",
        "SPACE_HOST": "me-ecenet.hf.space",
        "SYSTEM": "spaces",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    log = (folder / "app.log").open("w")
    app = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **told, **variables}, stdout=log, stderr=log
    )
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 180
        while True:
            assert app.poll() is None, (folder / "app.log").read_text()
            assert time.monotonic() < deadline, "it did not answer within three minutes"
            try:
                httpx.get(f"{address}/config", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        served: Any = SimpleNamespace(address=address, client=patient_client(address))
        yield Visitor(served, "visitor")
    finally:
        app.terminate()
        app.wait(timeout=20)
        log.close()


def test_on_zero_gpu_a_photo_is_one_call_and_what_follows_it_none(tmp_path: Path) -> None:
    calls_log = tmp_path / "calls.jsonl"
    calls_log.touch()

    def calls() -> list[dict[str, Any]]:
        return [json.loads(line) for line in calls_log.read_text().splitlines()]

    path = os.pathsep.join(filter(None, (str(STAND_IN), os.environ.get("PYTHONPATH"))))
    with space(tmp_path, SPACES_ZERO_GPU="true", SPACES_STUB_LOG=str(calls_log), PYTHONPATH=path) as visitor:
        assert not calls(), "nobody has asked yet"
        assert visitor.add("cat.png", CAT)["success"]
        (call,) = calls()
        assert call["given"] < 2 * 451 * 300 * 3, "a photo, and nothing of the session"
        assert call["asked_for"] <= 30
        shown = visitor.send([(visitor.listener("segment-view", output=True), [None, None, 0.6], None)])[0]
        page = shown["output"]["data"][0]
        assert len(re.findall(r'<img class="ece-mask" data-stage', page)) == 6, "all stages came with it"
        assert "cat" in page

        knock_out = visitor.listener("off-diverse")
        stages = ["stage4", "stage3", "stage2", "stage1"]
        assert visitor.send([(visitor.listener("off-attention", output=True), [None] * 3, None)])[0]["success"]
        for answer in visitor.send(
            [
                (knock_out, [None, None, None, False, stages, stages, False, 1], None),
                (visitor.listener("what-if-result", output=True), [None, None, None], None),
                (visitor.listener("judge-map"), [None, None], None),
            ]
        ):
            assert answer["success"], answer
        assert len(calls()) == 1, "the head runs on the processor"

        assert_names(sentence(visitor.add("no.png", b"no picture")), "image", "no.png")
        assert len(calls()) == 1, "a file that is no photo costs no quota"
        other = visitor.listener("model-picker")
        assert visitor.send([(other, [None, None, "weights:camvid"], None)])[0]["success"]
        assert len(calls()) == 2, "a model that was opened later is there, too"
        photo = visitor.upload("cat.png", CAT)
        report = visitor.api.client.predict({**photo, **FILE}, api_name="/segment")[0]
        assert "cat" in [row["class"] for row in report["classes"]]
        assert len(calls()) == 3


def test_without_a_gpu_to_lend_nothing_of_it_is_needed(tmp_path: Path) -> None:
    """The free tier: two cores, no package `spaces`; and examples before any photo has been segmented."""
    with space(tmp_path) as visitor:
        shown = visitor.element("examples")["props"]["value"]
        assert re.findall("<span>(.*?)</span>", shown) == ["cat", "astronaut", "temple", "coffee", "garage", "tower"]
        pictures = re.findall('data:image/jpeg;base64,([^"]*)', shown)
        assert [Image.open(io.BytesIO(base64.b64decode(one))).width for one in pictures] == [200] * 5 + [126]
        assert visitor.element("train-closed")
        assert visitor.send([(visitor.listener("examples"), [None, None], {"index": 0})])[0]["success"]
