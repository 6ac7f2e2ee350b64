"""The two fields that specify labelled data on the server."""

from typing import get_args

import gradio as gr

from ecenet.data.layouts.read import Layout

FOLDER_TITLE = "images/, masks/, classes.json"


def data_fields(label: str, *, elem_id: str, folder_title: str = FOLDER_TITLE) -> tuple[gr.Textbox, gr.Dropdown]:
    """Lay out fields for a folder and the layout of its data, with the element ids `ID-data` and `ID-layout`.

    Args:
        folder_title: label of the layout `folder`.
    """
    layouts = [(folder_title if layout == "folder" else layout, layout) for layout in get_args(Layout)]
    folder = gr.Textbox(
        label=label,
        placeholder="/data/camvid",
        info="On the machine that serves this page",
        elem_id=f"{elem_id}-data",
        min_width=240,
    )
    layout = gr.Dropdown(
        layouts,
        value="folder",
        label="Layout of the data",
        filterable=False,
        interactive=True,
        elem_id=f"{elem_id}-layout",
        min_width=240,
    )
    return folder, layout
