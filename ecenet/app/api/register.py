"""Registration of the API's endpoints, for gradio_client, curl and MCP."""

import gradio as gr

from ecenet.app.api.match import MatchEndpoint
from ecenet.app.api.photo import PhotoEndpoints
from ecenet.app.api.what_if import WhatIfEndpoint
from ecenet.app.state.events import MODEL_QUEUE
from ecenet.app.state.model_registry import ModelRegistry


def build(*, registry: ModelRegistry) -> None:
    """Add the endpoints to the current `gr.Blocks`. They use the same queue for the model as the page's events."""
    photo, changed = PhotoEndpoints(registry), WhatIfEndpoint(registry)
    for function in (
        photo.segment,
        photo.similarity,
        photo.embed,
        photo.consistency,
        photo.faithfulness,
        changed.what_if,
        MatchEndpoint(registry).match,
    ):
        gr.api(function, api_name=function.__name__, **(MODEL_QUEUE | {"api_visibility": "public"}))
