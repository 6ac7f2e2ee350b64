"""Files that are made when somebody asks for them."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.utils import get_upload_folder

from ecenet.ui.toast import show_errors

PRESS = "() => document.querySelector('#{id}-file').click()"


def build(
    label: str, make: Callable[..., Path], inputs: Sequence[Block], *, elem_id: str, interactive: bool = True
) -> gr.Button:
    """A button after which `make(*inputs)` writes a file and the browser saves it.

    Gradio's own download button must know its file before it is pressed: it stays out of sight and is pressed then.
    """
    button = gr.Button(label, size="sm", min_width=110, interactive=interactive, elem_id=elem_id)
    file = gr.DownloadButton(visible="hidden", elem_id=f"{elem_id}-file")
    made = button.click(show_errors(make), inputs, file, api_visibility="private")
    made.success(None, None, None, js=PRESS.format(id=elem_id))
    return button


def new_file(name: str) -> Path:
    """A place of its own for a file that a visitor will download: where Gradio's own are, and go with them."""
    cache = Path(get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="ecenet-", dir=cache)) / name


def file_stem(name: Any) -> str:
    """A photo's name without what a file's name cannot hold."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in str(name))[:60] or "photo"
