"""What a tab gives back to the layout: how to draw it again."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gradio.blocks import Block


class View(NamedTuple):
    """One function, its inputs and its outputs, to be run whenever the session has changed."""

    render: Callable[..., Any]
    inputs: Sequence[Block]
    outputs: Sequence[Block]
