"""What a tab gives back to the layout: how to draw it again."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gradio.blocks import Block

MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
"""Options of events that run a model: one at a time."""


class View(NamedTuple):
    """One function, its inputs and its outputs, to be run whenever the session has changed."""

    render: Callable[..., Any]
    inputs: Sequence[Block]
    outputs: Sequence[Block]
