"""A small Gradio page whose sessions the app keeps."""

import socket
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import gradio as gr
import httpx
import numpy as np

from ecenet.app.server.blocks import Page
from ecenet.app.server.serve import serve
from ecenet.app.server.session_store import Sessions
from ecenet.app.state.events import HIDDEN, MODEL_QUEUE
from ecenet.app.state.limits import Limits, Retention
from ecenet.app.widgets.download import new_file

LARGE = 4 << 20
"""Bytes that a visitor of the small page holds."""
WRITTEN = 5 << 20
"""Bytes of an answer: not a whole part of UNREAD_BYTES, so only the last one asked for passes that."""


class Held(np.ndarray):
    """An array that can be watched until it is gone."""


@dataclass
class SmallPage:
    """A page with a state, a file, small work, and a model that runs until it is let go."""

    address: str
    config: dict[str, object]
    page: gr.Blocks
    running: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    made: "list[weakref.ref[Held]]" = field(default_factory=list)

    @property
    def sessions(self) -> Sessions:
        assert isinstance(self.page.state_holder, Sessions)
        return self.page.state_holder

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def small_page(retention: Retention, *, waiting: int = 2) -> SmallPage:
    served = SmallPage("", {}, None)  # type: ignore[arg-type]

    def fill(number: int) -> Held:
        held = np.full(LARGE // 8, float(number)).view(Held)
        served.made.append(weakref.ref(held))
        return held

    def tell(held: np.ndarray | None) -> str:
        return "nothing" if held is None else f"{held.sum():.0f}"

    def make() -> str:
        with new_file("result.txt") as path:
            path.write_text("mine")
        return str(path)

    def run() -> str:
        served.running.set()
        assert served.let_go.wait(60)
        return "done"

    with Page(analytics_enabled=False) as page:
        held, number = gr.State(None), gr.Number(1, elem_id="number")
        answer, file = gr.Textbox(elem_id="answer"), gr.File(elem_id="file")
        gr.Button(elem_id="fill").click(fill, number, held, **HIDDEN)
        gr.Button(elem_id="tell").click(tell, held, answer, **HIDDEN)
        gr.Button(elem_id="write").click(lambda: "a" * WRITTEN, None, answer, **HIDDEN)
        gr.Button(elem_id="make").click(make, None, file, **HIDDEN)
        gr.Button(elem_id="run").click(run, None, answer, **MODEL_QUEUE)
        gr.api(run, api_name="run_api", **(MODEL_QUEUE | {"api_visibility": "public"}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve(page, host="127.0.0.1", port=port, limits=Limits(), retention=retention, queue=waiting, wait=False)
    served.address, served.page = f"http://127.0.0.1:{port}", page
    served.config = httpx.get(f"{served.address}/config", timeout=60).json()
    return served
