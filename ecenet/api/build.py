"""The app's API: every endpoint by its name, for gradio_client, curl and MCP."""

import gradio as gr

from ecenet.api.photo import PhotoEndpoints
from ecenet.api.what_if import WhatIfEndpoint
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.view import MODEL_QUEUE


def build(*, shelf: ModelShelf) -> None:
    """Add the endpoints to the app that is being laid out. They wait for the model as the page's own events do."""
    photo, changed = PhotoEndpoints(shelf), WhatIfEndpoint(shelf)
    for function in (
        photo.segment,
        photo.similarity,
        photo.embed,
        photo.consistency,
        photo.faithfulness,
        changed.what_if,
    ):
        gr.api(function, api_name=function.__name__, **(MODEL_QUEUE | {"api_visibility": "public"}))
