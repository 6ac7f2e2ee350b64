"""Messages to the page's scripts, all of one kind: named props of a `gr.HTML`, which its `js_on_load` reads.

What the server tells a script is a handler's return value, `gr.HTML(NAME=value)`. What a control on the page tells a
script, and no server has to know, is `send_props`. A script reacts to either with `watch(NAME, …)` and reads
`props.NAME`. (A `js` of an event is left to what is over at once and tells no script: a download's press, scrolling.)

The name must not stand in quotes anywhere in the script: `gr.HTML` takes quoted words for names of events.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

UPDATE = """(...values) => ({{
  __type__: 'update', props: Object.fromEntries({names}.map((name, index) => [name, values[index]])),
}})"""
"""What Gradio's server sends where a handler returns `gr.HTML(NAME=value)`. Its page (6.31) takes that from a script,
too, which is nowhere promised: tests/app/server/test_gradio_contract.py."""


def send_props(target: gr.HTML, events: Sequence[Callable[..., Any]], **controls: Component) -> None:
    """Set props of a `gr.HTML` to what controls hold, in the browser alone, whenever one of some events occurs.

    The controls of one target belong into one call: Gradio's page keeps the props of the last message only until it
    draws, so that of two messages at once the first would be lost.

    Args:
        events: such as `slider.input`.
        controls: by the name of the prop.
    """
    gr.on(events, None, list(controls.values()), target, js=UPDATE.format(names=json.dumps(list(controls))))
