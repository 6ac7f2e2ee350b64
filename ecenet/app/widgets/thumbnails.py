"""Small pictures to click on.

gr.Gallery is not used, because it also reports selections by the server, which on a slow network would undo a click.
"""

from collections.abc import Iterable
from typing import NamedTuple

import gradio as gr
from PIL import Image

from ecenet.app.widgets.markup import data_uri, escape, on_click
from ecenet.data.images import thumbnail

SIDE = 200
"""Longest side in pixels."""
CLICK = on_click("[data-index]", "pick", "{index: Number(picked.dataset.index)}")


class Thumbnail(NamedTuple):
    """A small picture, with a caption."""

    address: str
    caption: str
    file: str = ""
    """Path of the upload behind it, or ""."""

    @classmethod
    def of(cls, image: Image.Image, *, caption: str, file: str = "") -> "Thumbnail":
        return cls(data_uri(thumbnail(image, max_side=SIDE), file_format="JPEG"), caption, file)


def build(value: str = "", *, elem_id: str, visible: bool = True) -> gr.HTML:
    """Lay out the element. Its event `pick` has the data `{"index": …}`.

    Args:
        value: HTML from `render`.
    """
    return gr.HTML(value, js_on_load=CLICK, visible=visible, elem_id=elem_id)


def render(pictures: Iterable[Thumbnail], *, label: str, pressed: int | None = None, session: str | None = None) -> str:
    """Return the HTML of a button for each picture.

    Args:
        pressed: index of the selected picture; None if the buttons do not select but act.
        session: name of the session of the pictures, which the page reads; None for pictures shared by all sessions.
    """
    buttons = "".join(_button(one, index=index, pressed=pressed) for index, one in enumerate(pictures))
    name = "" if session is None else f' data-session="{escape(session)}"'
    return f'<div class="ece-thumbnails" role="group" aria-label="{escape(label)}"{name}>{buttons}</div>'


def _button(picture: Thumbnail, *, index: int, pressed: int | None) -> str:
    state = "" if pressed is None else f' aria-pressed="{str(index == pressed).lower()}"'
    file = f' data-file="{escape(picture.file)}"' if picture.file else ""
    return f"""
<button type="button" class="ece-thumbnail" data-index="{index}"{state}{file}>
  <img src="{picture.address}" alt=""><span>{escape(picture.caption)}</span>
</button>"""
