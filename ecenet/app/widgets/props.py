"""Messages to the page's scripts, as named props of a `gr.HTML` that its `js_on_load` reads.

The server sends a prop by returning `gr.HTML(NAME=value)` from a handler. `send_props` sends the value of a control
within the browser, without the server. A script reacts to both with `watch(NAME, …)` and reads `props.NAME`. The `js`
of an event is used only for actions that no script needs to know, such as scrolling.

The name must not occur in quotes anywhere in the script, because `gr.HTML` takes quoted words for event names.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

UPDATE = """(...values) => ({{
  __type__: 'update', props: Object.fromEntries({names}.map((name, index) => [name, values[index]])),
}})"""
"""The message that Gradio's server sends if a handler returns `gr.HTML(NAME=value)`. Gradio's page (6.31) accepts it
from a script as well. This is undocumented and therefore tested in tests/app/server/test_gradio_contract.py."""


def send_props(target: gr.HTML, events: Sequence[Callable[..., Any]], **controls: Component) -> None:
    """Set props of a `gr.HTML` to the values of controls whenever one of the events occurs, within the browser.

    All controls of a target must be in one call: until it draws, Gradio's page keeps only the props of the last
    message, so the first of two simultaneous messages would be lost.

    Args:
        events: event listeners, such as `slider.input`.
        controls: controls by the name of their prop.
    """
    gr.on(events, None, list(controls.values()), target, js=UPDATE.format(names=json.dumps(list(controls))))
