"""A browser's side of the page without a browser: uploads, clicks and all that follows from them, over HTTP."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

API = "/gradio_api"
BUSY = "Busy:"
"""What a refusal for want of room begins with."""


@dataclass
class Answer:
    """What became of one event."""

    name: str
    """Of the function behind it."""
    seconds: float
    error: str | None = None
    """What the visitor reads."""
    ahead: int = 0
    """How many were waiting before it, at most."""

    @property
    def busy(self) -> bool:
        return self.error is not None and self.error.startswith(BUSY)


@dataclass
class Visitor:
    """One tab: it holds the components' values and sends what the page's script would send.

    Args:
        check: is given every answer's name and data.
    """

    http: httpx.AsyncClient
    config: dict[str, Any]
    check: Callable[[str, list[Any]], None] = lambda name, data: None
    session: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = {one["id"]: one["props"].get("value") for one in self.config["components"]}
        self._ids = {one["props"].get("elem_id"): one["id"] for one in self.config["components"]}
        self._events = {one["id"]: one for one in self.config["dependencies"]}
        self._states = {one["id"] for one in self.config["components"] if one["type"] == "state"}
        self._began: dict[str, tuple[int, float, int]] = {}  # by the event's id: function, when, how many were ahead
        self._again: Counter[int] = Counter()

    def value(self, elem_id: str) -> Any:
        return self.values[self._ids[elem_id]]

    async def open(self) -> None:
        """What happens as the page opens."""
        found = [one["id"] for one in self.config["dependencies"] if any(t[1] == "load" for t in one["targets"])]
        await self._run([(one, None, None) for one in found])

    async def fire(self, elem_id: str, event: str, *, value: Any = None, data: Any = None) -> list[Answer]:
        """Something happens to a component; returns when all that follows from it has been answered.

        Args:
            value: what the component holds then, unless None.
            data: what comes with the event.
        """
        target = self._ids[elem_id]
        if value is not None:
            self.values[target] = value
        found = [one["id"] for one in self.config["dependencies"] if [target, event] in one["targets"]]
        assert found, f"nothing listens to {event} of {elem_id}"
        before = len(self.answers)
        await self._run([(one, target, data) for one in found])
        return self.answers[before:]

    async def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """Returns what an upload's component holds."""
        reply = await self.http.post(f"{API}/upload", files={"files": (name, content)})
        reply.raise_for_status()
        return {"path": reply.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    async def join(self, index: int, *, trigger: int | None = None, data: Any = None) -> None:
        """Stand in the queue; the answer comes with the stream."""
        event = self._events[index]
        if not event["backend_fn"]:
            return
        if any(index == running for running, _, _ in self._began.values()):
            self._again[index] += event["trigger_mode"] == "always_last"
            return
        values = [None if one in self._states else self.values[one] for one in event["inputs"]]
        body = {"data": values, "event_data": data, "fn_index": index, "trigger_id": trigger}
        began = time.monotonic()
        reply = await self.http.post(f"{API}/queue/join", json=body | {"session_hash": self.session})
        if reply.status_code == 200:
            self._began[reply.json()["event_id"]] = (index, began, 0)
        else:
            detail = reply.json().get("detail", reply.text)
            self.answers.append(Answer(event["api_name"], time.monotonic() - began, str(detail)))

    def forget(self) -> None:
        """Wait for no answer any more."""
        self._began.clear()

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[str]]:
        url = f"{API}/queue/data?session_hash={self.session}"
        async with self.http.stream("GET", url, timeout=httpx.Timeout(None)) as reply:
            yield reply.aiter_lines()

    async def _run(self, events: list[tuple[int, int | None, Any]]) -> None:
        await asyncio.gather(*(self.join(index, trigger=trigger, data=data) for index, trigger, data in events))
        while self._began:
            async with self.stream() as lines:
                async for line in lines:
                    if not line.startswith("data:"):
                        continue
                    message = json.loads(line[5:])
                    await self._take(message)
                    if message["msg"] == "close_stream":
                        break

    async def _take(self, message: dict[str, Any]) -> None:
        if message["msg"] == "unexpected_error":
            raise AssertionError(message["message"])
        began = self._began.get(message.get("event_id") or "")
        if began is None:
            return
        index, since, ahead = began
        if message["msg"] == "estimation":
            self._began[message["event_id"]] = (index, since, max(ahead, message["rank"]))
        if message["msg"] != "process_completed":
            return
        del self._began[message["event_id"]]
        event, output = self._events[index], message["output"]
        answer = Answer(event["api_name"], time.monotonic() - since, ahead=ahead)
        if not message["success"]:
            answer.error = output.get("error") or "an error without a word"
        self.answers.append(answer)
        if message["success"]:
            self._show(event, output["data"])
        changed = set(output.get("changed_state_ids") or ())
        follow = [
            one["id"]
            for one in self._events.values()
            if self._follows(one, index, success=message["success"])
            or any(target in changed and name == "change" for target, name in one["targets"])
        ]
        if self._again.pop(index, 0):
            follow.append(index)
        await asyncio.gather(*(self.join(one) for one in follow))

    def _show(self, event: dict[str, Any], data: list[Any]) -> None:
        """Take over the outputs' values."""
        self.check(event["api_name"], data)
        for component, new in zip(event["outputs"], data, strict=True):
            if isinstance(new, dict) and new.get("__type__") == "update":
                if "value" in new:
                    self.values[component] = new["value"]
            elif component not in self._states:
                self.values[component] = new

    @staticmethod
    def _follows(event: dict[str, Any], index: int, *, success: bool) -> bool:
        if event["trigger_after"] != index:
            return False
        only = {one[1] for one in event["targets"]}
        return "then" in only or ("success" in only and success) or ("failure" in only and not success)
