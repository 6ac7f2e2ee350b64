"""Subscriptions, which tell the layout how and when to update a view, and options of Gradio events."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import gradio as gr
from gradio.blocks import Block

from ecenet.app.state.selection import Follows, Selection

MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
"""Options of events that run a model: one at a time."""

MODEL_EACH: dict[str, Any] = MODEL_QUEUE | {"trigger_mode": "multiple"}
"""The same for events with data: none is dropped while an earlier one is pending."""

HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of events that are too short for a progress bar."""

LATEST: dict[str, Any] = HIDDEN | {"trigger_mode": "always_last"}
"""Options of events that may fire faster than they are processed and read the current values: only the last one counts.
By default, Gradio's page drops events that fire while an earlier one is pending."""

EACH: dict[str, Any] = HIDDEN | {"trigger_mode": "multiple", "concurrency_limit": 1}
"""Options of events with data, or that read a control that responses may change: each is processed, one after the
other. With `always_last`, Gradio's page would send a postponed event with the data of the event before it."""


def event_data(event: gr.EventData) -> dict[str, Any]:
    """Return the data of an event, or {} if it is not an object. It comes from the browser and cannot be trusted.

    `gr.EventData` (6.31) has the entries as attributes only, and fails if there is no such entry or no object.
    """
    return event._data if isinstance(event._data, dict) else {}


class Subscription(NamedTuple):
    """A function with its inputs and outputs that runs whenever the part of the selection that it follows changes."""

    render: Callable[..., Any]
    inputs: Sequence[Block]
    outputs: Sequence[Block]
    follows: Follows = "selection"
    runs_model: bool = False
    then: "Subscription | None" = None
    """A subscription that runs after this one, on its outputs."""
    also_after: Sequence[Callable[..., Any]] = ()
    """Further events after which it runs, though never twice at once: a run with older values might finish last."""

    def after(self, event: Callable[..., Any], *, show_progress: Literal["minimal", "hidden"] = "hidden") -> None:
        """Run it after an event, such as `button.click`."""
        options = MODEL_QUEUE if self.runs_model else {"api_visibility": "private"}
        if self.also_after:
            event = partial(gr.on, [event, *self.also_after])
        options = options | {"trigger_mode": "always_last", "show_progress": show_progress}
        done = event(self.render, self.inputs, self.outputs, **options)
        if self.then is not None:
            self.then.after(done.success)


def follow(
    selection: gr.State,
    shown_tab: gr.State,
    *,
    sidebar: Sequence[Subscription],
    tabs: Mapping[str, Sequence[Subscription]],
) -> None:
    """Update views when the part of the selection that they follow changes; views in a hidden tab when it is shown.

    Args:
        shown_tab: state with the id of the tab that is shown.
        sidebar: views that are always visible.
        tabs: views by the id of their tab.
    """
    views = [(None, view) for view in sidebar] + [(tab, view) for tab, group in tabs.items() for view in group]
    places = list(dict.fromkeys((tab, view.follows) for tab, view in views))
    followed = {place: gr.State(None) for place in places}

    def changed(selection: Selection, shown: str) -> list[Any]:
        return [selection.followed(by) if tab in (None, shown) else gr.skip() for tab, by in places]

    gr.on([selection.change, shown_tab.change], changed, [selection, shown_tab], list(followed.values()), **LATEST)
    for tab, view in views:
        view.after(followed[tab, view.follows].change, show_progress="minimal")
