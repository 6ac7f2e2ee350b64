"""Who waits for the model, and what somebody reads for whom there is no room to wait."""

import os
from typing import Any, Literal

import gradio as gr
from fastapi import Request
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Queue

from ecenet.app.server.session_store import held_bytes
from ecenet.app.state.events import MODEL_QUEUE
from ecenet.app.state.limits import MAX_WAITING

SMALL_AT_ONCE = 2
"""Runs of one function that needs no model: so nobody waits there for somebody else's larger photo."""
THREADS = 2 + (os.cpu_count() or 1)
"""Functions that run at once, all in all: many more, and the server itself would wait seconds for its turn."""
UNREAD = 100
"""Answers of one session that may wait to be read, or made."""
UNREAD_BYTES = 16 << 20
"""Of memory that those hold which are made."""
UNCOUNTED = 8
"""Unread answers before anybody looks how large they are."""
REMEMBERED_EVENTS = 100
"""Of those done, for Gradio's page of statistics."""


class VisitorQueue(Queue):
    """Gradio's queue, with a limit of its own for what waits for the model.

    Why it overrides Gradio's (6.31): `max_size` counts the events of all functions, so that a full queue for the model
    would also refuse a click that needs none; the refusal does not say how many are ahead; and nothing limits the
    answers that a session asks for and never reads. It would be needless if `Blocks.queue()` took a limit for each
    `concurrency_id`, and one for the unread answers of a session. What it relies on: tests/app/server/
    test_gradio_contract.py.

    Args:
        limit: how many events may wait for the model.
    """

    def __init__(self, page: gr.Blocks, *, limit: int = MAX_WAITING) -> None:
        super().__init__(
            live_updates=True,
            concurrency_count=page.max_threads,
            update_intervals=1,
            max_size=None,
            blocks=page,
            default_concurrency_limit=SMALL_AT_ONCE,
        )
        self._limit = limit
        # By default Gradio (6.31) polls a thousand times a second, also while all wait for the model, and makes a table
        # of all events that it remembers, up to ten thousand, after each of them, which takes longer than most events.
        # Needless once the queue waits for a signal, and once statistics that nobody may read
        # (`enable_monitoring=False`) are not computed.
        self.sleep_when_free = 0.01
        self.ANALYTICS_MAX_EVENTS = self.ANAYLTICS_CACHE_FREQUENCY = REMEMBERED_EVENTS

    async def push(
        self, body: PredictBodyInternal, request: Request, username: str | None
    ) -> tuple[bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]]:
        refusal = self._refusal(body)
        if refusal is None:
            return await super().push(body, request, username)
        # Gradio's page (6.31) shows the sentence of an error, but one of its own when the queue is full (status 503),
        # which programs take for a reason to try again. A page is told by its Origin header.
        return False, refusal, "error" if "origin" in request.headers else "queue_full"

    def _refusal(self, body: PredictBodyInternal) -> str | None:
        """Why an event cannot wait here, in one sentence."""
        unread = len(self.pending_event_ids_session.get(body.session_hash or "", ()))
        if unread >= UNREAD or (unread > UNCOUNTED and self._unread_bytes(body.session_hash) > UNREAD_BYTES):
            return f"Busy: {unread} answers to you are ahead of this one; read them first."
        function = self.blocks.fns.get(-1 if body.fn_index is None else body.fn_index)
        if function is None or function.concurrency_id != MODEL_QUEUE["concurrency_id"]:
            return None
        queue = self.event_queue_per_concurrency_id.get(function.concurrency_id)
        if queue is None or len(queue.queue) < self._limit:
            return None
        ahead = len(queue.queue) + queue.current_concurrency
        return f"Busy: {ahead} are ahead of you; try again in a minute."

    def _unread_bytes(self, session_id: str | None) -> int:
        messages = self.pending_messages_per_session.get(session_id or "")
        return 0 if messages is None else held_bytes([vars(one) for one in messages._queue])
