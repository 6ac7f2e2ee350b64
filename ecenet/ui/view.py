"""What a tab gives back to the layout: how to draw it again."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import gradio as gr
from gradio.blocks import Block

MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
"""Options of events that run a model: one at a time."""

HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of events that are over before anybody would read a progress bar."""

LIVE: dict[str, Any] = HIDDEN | {"trigger_mode": "always_last"}
"""Options of events that may come faster than they are answered: the last one counts."""


def event_data(event: gr.EventData) -> dict[str, Any]:
    """What a browser sent along with an event; empty where that is no object. Nothing in it can be trusted."""
    return event._data if isinstance(event._data, dict) else {}


class View(NamedTuple):
    """One function, its inputs and its outputs, to be run whenever what it follows has changed."""

    render: Callable[..., Any]
    inputs: Sequence[Block]
    outputs: Sequence[Block]
    follows: Literal["selection", "stage", "photo"] = "selection"
    """`photo`: only where another photo, or another model's, is to be shown; not for a click on the same one. `stage`:
    there, and where another stage is, or another ground truth."""
    runs_model: bool = False
    then: "View | None" = None
    """What is drawn from its outputs, once they are there."""

    def after(self, event: Callable[..., Any], *, show_progress: Literal["minimal", "hidden"] = "hidden") -> None:
        """Draw it after an event, such as `button.click`."""
        options = MODEL_QUEUE if self.runs_model else {"api_visibility": "private"}
        done = event(self.render, self.inputs, self.outputs, show_progress=show_progress, **options)
        if self.then is not None:
            self.then.after(done.success)
