"""Files that are made when somebody asks for them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.utils import get_upload_folder

from ecenet.app.error_toasts import show_errors
from ecenet.common.errors import room_for

PRESS = "() => document.querySelector('#{id}-file').click()"


def build(
    label: str, make: Callable[..., Path], inputs: Sequence[Block], *, elem_id: str, interactive: bool = True
) -> gr.Button:
    """A button after which `make(*inputs)` writes a file and the browser saves it.

    Gradio's own download button must know its file before it is pressed: it stays out of sight and is pressed then.
    (What is hidden as Gradio hides it comes to light with the accordion that it is in.)
    """
    button = gr.Button(label, size="sm", min_width=110, interactive=interactive, elem_id=elem_id)
    file = gr.DownloadButton(elem_id=f"{elem_id}-file", elem_classes="ece-unseen")
    made = button.click(show_errors(make), inputs, file, api_visibility="private")
    made.success(None, None, None, js=PRESS.format(id=elem_id))
    return button


@contextmanager
def new_file(name: str) -> Iterator[Path]:
    """A place of its own for a file that a visitor will download, where Gradio neither copies nor keeps it for long.

    Raises:
        UserError: the disk is full; nothing is left of the file.
    """
    with room_for("this file"):
        cache = Path(get_upload_folder())
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=cache))
        try:
            yield folder / name
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def file_stem(name: Any) -> str:
    """A photo's name without what a file's name cannot hold."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in str(name))[:60] or "photo"
