"""The session store: sessions are kept in memory up to a limit, then on disk, and are deleted after some time."""

import asyncio
import ctypes
import hashlib
import logging
import os
import pickle
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from anyio.to_thread import run_sync
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import get_upload_folder
from PIL import Image
from torch import Tensor

from ecenet.app.state.limits import Retention
from ecenet.common.logs import log_event

_logger = logging.getLogger(__name__)


class Sessions(StateHolder):
    """Gradio's sessions, with a memory limit. Beyond the limit, the least recently used sessions are moved to disk as a
    whole, so nothing of a visitor is lost. Everything except writing runs on the server's event loop.

    It replaces Gradio's store (6.31) for three reasons: `state_session_capacity` counts sessions regardless of their
    size, and deletes those beyond it; `time_to_live` of a `gr.State` counts from when it was set rather than from its
    last use, and can end it during an event; and the empty sessions of API calls are kept as long as others. This is no
    longer needed once Gradio limits the memory of all sessions and can move them to disk. The assumptions about Gradio
    are tested in tests/app/server/test_gradio_contract.py.
    """

    def __init__(self, page: gr.Blocks, retention: Retention) -> None:
        super().__init__()
        self.set_blocks(page)
        self._retention = retention
        self._queue = page._queue
        self._folder = tempfile.TemporaryDirectory(prefix="ecenet-sessions-", ignore_cleanup_errors=True)
        self._sizes: dict[str, tuple[datetime, int]] = {}

    def __getitem__(self, session_id: str) -> SessionState:
        state = super().__getitem__(session_id)
        # Gradio (6.31) marks a session as closed when its connection ends, even if it is only interrupted, and deletes
        # its state after an hour, even if the visitor has come back.
        state.is_closed = False
        file = self._file(session_id)
        if file.exists():
            state.state_data = pickle.loads(
                file.read_bytes()
            )  # safe: we wrote it, to a folder that only we can write to
            file.unlink()
        return state

    def expired(self) -> list[str]:
        """Return the sessions to delete."""
        now = datetime.now()
        for one in self._busy() & set(self.session_data):
            self.time_last_used[one] = now  # their idle time starts with the response
        return [
            one
            for one, used in self.time_last_used.items()
            if (now - used).total_seconds()
            > (self._retention.seconds if self._holds(one) else self._retention.empty_seconds)
        ]

    def forget(self, session_id: str) -> None:
        """Delete a session with its state and its unread responses."""
        self._queue.pending_messages_per_session.pop(session_id, None)
        self._queue.pending_event_ids_session.pop(session_id, None)
        self.session_data.pop(session_id, None)
        self.time_last_used.pop(session_id, None)
        self._sizes.pop(session_id, None)
        self._file(session_id).unlink(missing_ok=True)

    async def make_room(self) -> None:
        """Move sessions to disk until the others are within the memory limit."""
        busy = self._busy()
        sizes = {one: self._size(one, changing=one in busy) for one in list(self.session_data)}
        total = sum(sizes.values())
        for one, used in sorted(self.time_last_used.items(), key=lambda item: item[1]):
            if total <= self._retention.memory:
                return
            rested = (datetime.now() - used).total_seconds() > self._retention.resting_seconds
            if rested and one not in busy and await self._park(one, used):
                total -= sizes[one]

    def close(self) -> None:
        self._folder.cleanup()

    async def _park(self, session_id: str, used: datetime) -> bool:
        """Move a session to disk. Returns False if it is empty, was used meanwhile, or cannot be written."""
        state, file = self.session_data.get(session_id), self._file(session_id)
        if state is None or not state.state_data:
            return False
        written = file.with_suffix(".part")
        try:
            await run_sync(_write, dict(state.state_data), written)
        except Exception:  # any error of the disk or of pickling: the session stays in memory
            written.unlink(missing_ok=True)
            return False
        if self.time_last_used.get(session_id) != used:
            written.unlink()
            return False
        written.rename(file)
        state.state_data = {}
        # Gradio keeps the page's values for links to a session, which we do not offer.
        state.config_values.clear()
        return True

    def _busy(self) -> set[str]:
        """Return the sessions with a waiting or running event."""
        return {one.session_hash for one in self._queue.event_ids_to_events.values()}

    def _holds(self, session_id: str) -> bool:
        """Return whether a session has state or unread responses."""
        state = self.session_data.get(session_id)
        unread = self._queue.pending_event_ids_session.get(session_id)
        return bool(unread or (state is not None and state.state_data)) or self._file(session_id).exists()

    def _size(self, session_id: str, *, changing: bool) -> int:
        """Return the bytes of a session in memory, cached until its next use, unless an event may be changing it."""
        used, state = self.time_last_used[session_id], self.session_data[session_id]
        known = self._sizes.get(session_id)
        if known is None or known[0] != used or not state.state_data:
            shown = [config.get("props", {}).get("value") for config in state.config_values.values()]
            known = (used, held_bytes([state.state_data, shown]))
            if not changing:
                self._sizes[session_id] = known
        return known[1]

    def _file(self, session_id: str) -> Path:
        # Hashed, because the browser chooses the id.
        return Path(self._folder.name) / hashlib.sha256(session_id.encode(errors="replace")).hexdigest()


def _write(states: dict[int, Any], path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump(states, file, protocol=pickle.HIGHEST_PROTOCOL)


def held_bytes(value: object, seen: set[int] | None = None) -> int:
    """Return the bytes of all arrays, tensors, pictures and texts in a value; each object counts once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return 0
    seen.add(id(value))
    match value:
        case np.ndarray() | Tensor():
            return value.nbytes
        case Image.Image():
            return value.width * value.height * len(value.getbands())
        case str() | bytes():
            return len(value)
        case dict():
            return sum(held_bytes(one, seen) for one in value.values())
        case list() | tuple() | set() | frozenset():
            return sum(held_bytes(one, seen) for one in value)
    return held_bytes(vars(value), seen) if is_dataclass(value) and hasattr(value, "__dict__") else 0


@asynccontextmanager
async def kept_sessions(app: App, retention: Retention) -> AsyncIterator[None]:
    """Apply the limits to sessions and files while the server runs."""
    page = app.get_blocks()
    sessions = Sessions(page, retention)
    app.state_holder = sessions

    async def tidy() -> None:
        for one in sessions.expired():
            sessions.forget(one)
        await sessions.make_room()
        kept = {file for block in page.blocks.values() for file in block.keep_in_cache}
        await run_sync(delete_files, Path(get_upload_folder()), kept, 2 * retention.seconds)
        await run_sync(give_back_memory)

    async def keep_tidy() -> None:
        while True:
            await asyncio.sleep(retention.every)
            try:
                await tidy()
            except Exception as error:  # keep the loop running
                log_event(_logger, "tidying failed", level="error", error=error)

    task = asyncio.create_task(keep_tidy())
    try:
        yield
    finally:
        task.cancel()
        sessions.close()


def delete_files(folder: Path, kept: Iterable[str], seconds: float) -> None:
    """Delete files that are older than `seconds`, except those in `kept`.

    This replaces `delete_cache` of `gr.Blocks` (6.31), which finds files by the `temp_files` of their component and
    therefore misses those of components that an event has changed, which are copies in a session.
    """
    spared = {Path(one).resolve() for one in kept}
    for parent, folders, files in os.walk(folder.resolve(), topdown=False):
        for name in (*files, *folders):
            path = Path(parent, name)
            with suppress(OSError):  # deleted by another process, or the folder is not empty
                if path not in spared and time.time() - path.stat().st_ctime > seconds:
                    remove = path.rmdir if name in folders else path.unlink
                    remove()


def give_back_memory() -> None:
    """Return freed memory to the system, which glibc would otherwise keep."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
