"""The event queue, with a limit on the events that wait for the model."""

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
"""Concurrent runs of a function without a model, so that nobody waits for another visitor's larger photo."""
THREADS = 2 + (os.cpu_count() or 1)
"""Concurrent functions in total. With many more, the server itself would respond seconds late."""
UNREAD = 100
"""Limit on pending and unread responses of a session."""
UNREAD_BYTES = 16 << 20
"""Limit on the memory of a session's unread responses."""
UNCOUNTED = 8
"""Number of unread responses up to which their memory is not counted."""
REMEMBERED_EVENTS = 100
"""Number of finished events that Gradio keeps for its statistics page."""


class VisitorQueue(Queue):
    """Gradio's queue with a separate limit for events that wait for the model.

    It overrides Gradio's (6.31) for three reasons: `max_size` counts the events of all functions, so a full queue for
    the model would also reject clicks that need no model; the rejection does not state the queue length; and nothing
    limits the responses that a session requests but never reads. This is no longer needed once `Blocks.queue()` accepts
    limits for each `concurrency_id` and for the unread responses of a session. The assumptions about Gradio are tested
    in tests/app/server/test_gradio_contract.py.

    Args:
        limit: number of events that may wait for the model.
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
        # By default Gradio (6.31) polls a thousand times a second, even while all events wait for the model, and after
        # each event makes a table of up to ten thousand events, which takes longer than most events. No longer needed
        # once the queue waits for a signal, and statistics are not computed for `enable_monitoring=False`.
        self.sleep_when_free = 0.01
        self.ANALYTICS_MAX_EVENTS = self.ANAYLTICS_CACHE_FREQUENCY = REMEMBERED_EVENTS

    async def push(
        self, body: PredictBodyInternal, request: Request, username: str | None
    ) -> tuple[bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]]:
        refusal = self._refusal(body)
        if refusal is None:
            return await super().push(body, request, username)
        # Gradio's page (6.31) shows the message of an error, but its own one for a full queue (status 503). Programs
        # retry after that status. Requests of the page have an Origin header.
        return False, refusal, "error" if "origin" in request.headers else "queue_full"

    def _refusal(self, body: PredictBodyInternal) -> str | None:
        """Return the message if an event cannot be queued, else None."""
        unread = len(self.pending_event_ids_session.get(body.session_hash or "", ()))
        if unread >= UNREAD or (unread > UNCOUNTED and self._unread_bytes(body.session_hash) > UNREAD_BYTES):
            return f"Busy: you have {unread} unread responses; read them first."
        function = self.blocks.fns.get(-1 if body.fn_index is None else body.fn_index)
        if function is None or function.concurrency_id != MODEL_QUEUE["concurrency_id"]:
            return None
        queue = self.event_queue_per_concurrency_id.get(function.concurrency_id)
        if queue is None or len(queue.queue) < self._limit:
            return None
        ahead = len(queue.queue) + queue.current_concurrency
        return f"Busy: {ahead} requests are ahead of yours; try again in a minute."

    def _unread_bytes(self, session_id: str | None) -> int:
        messages = self.pending_messages_per_session.get(session_id or "")
        return 0 if messages is None else held_bytes([vars(one) for one in messages._queue])
