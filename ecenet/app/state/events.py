"""What a tab gives back to the layout: how to draw it again, and when."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import gradio as gr
from gradio.blocks import Block

from ecenet.app.state.selection import Follows, Selection

MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
"""Options of events that run a model: one at a time."""

MODEL_EACH: dict[str, Any] = MODEL_QUEUE | {"trigger_mode": "multiple"}
"""The same of events that bring something along: none is left out because another is not answered yet."""

HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Options of events that are over before anybody would read a progress bar."""

LATEST: dict[str, Any] = HIDDEN | {"trigger_mode": "always_last"}
"""Options of events that may come faster than they are answered, and read what there is when their turn comes: the last
one counts. By default, Gradio's page leaves out what comes before the one before is answered."""

EACH: dict[str, Any] = HIDDEN | {"trigger_mode": "multiple", "concurrency_limit": 1}
"""Options of events that bring something along, or read a control that answers may change: each is answered, one after
the other. An event that Gradio's page has put off would bring along what the one before it brought."""


def event_data(event: gr.EventData) -> dict[str, Any]:
    """What a browser sent along with an event; empty where that is no object. Nothing in it can be trusted.

    `gr.EventData` (6.31) offers the entries as attributes only, and fails where there is no such entry or no object.
    """
    return event._data if isinstance(event._data, dict) else {}


class Subscription(NamedTuple):
    """One function, its inputs and its outputs, to be run whenever what it follows has changed."""

    render: Callable[..., Any]
    inputs: Sequence[Block]
    outputs: Sequence[Block]
    follows: Follows = "selection"
    runs_model: bool = False
    then: "Subscription | None" = None
    """What is drawn from its outputs, once they are there."""
    also_after: Sequence[Callable[..., Any]] = ()
    """Events after which it is drawn, too, but not beside a run that is going on: of two at once, that of the older
    values might end last and stay."""

    def after(self, event: Callable[..., Any], *, show_progress: Literal["minimal", "hidden"] = "hidden") -> None:
        """Draw it after an event, such as `button.click`."""
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
    """Draw views whenever what they follow has changed; those of a hidden tab once the tab is shown.

    Args:
        shown_tab: holds the id of the tab that is shown.
        sidebar: what is there whichever tab is shown.
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
