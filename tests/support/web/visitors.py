"""A stranger, who sends the app whatever it likes, and what the app then opens."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.web.serving import FILE, Served

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
