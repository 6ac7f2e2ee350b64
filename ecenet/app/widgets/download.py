"""Downloads that are created on request."""

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
    """Lay out a button that calls `make(*inputs)`, which writes a file, and then downloads that file.

    Gradio's download button needs its file before it is pressed. Ours is invisible and is pressed by a script once the
    file exists. It is hidden by CSS, since an accordion shows what `visible` hides.
    """
    button = gr.Button(label, size="sm", min_width=110, interactive=interactive, elem_id=elem_id)
    file = gr.DownloadButton(elem_id=f"{elem_id}-file", elem_classes="ece-unseen")
    made = button.click(show_errors(make), inputs, file, api_visibility="private")
    made.success(None, None, None, js=PRESS.format(id=elem_id))
    return button


@contextmanager
def new_file(name: str) -> Iterator[Path]:
    """Yield a path in a new folder of Gradio's cache for a file to download; Gradio does not copy it and deletes it
    later.

    Raises:
        UserError: the disk is full; the partial file is deleted.
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
    """Return a photo's name with characters that are unsafe in file names replaced."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in str(name))[:60] or "photo"
