"""The model picker: all photos of the session are seen by the model that is chosen."""

from functools import partial
from typing import NamedTuple

import gradio as gr
from gradio.events import Dependency

from ecenet.ui.session import Session, choose_model
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.toast import show_errors
from ecenet.ui.view import MODEL_QUEUE, View


class ModelPicker(NamedTuple):
    chosen: Dependency
    """After it the session has changed."""
    refresh: View
    """Lists the models anew: a run may have finished."""


def build(session: gr.State, *, shelf: ModelShelf) -> ModelPicker:
    """Lay out the picker."""
    picker = gr.Dropdown(
        _entries(shelf), value=shelf.initial, label="Model", filterable=False, interactive=True, elem_id="model-picker"
    )

    @show_errors
    def choose(session: Session, key: str, progress: gr.Progress = gr.Progress()) -> tuple[Session, str]:  # noqa: B008
        track = partial(progress.tqdm, desc="Segmenting your photos again", unit="photos")
        return choose_model(session, key, shelf=shelf, track=track), key

    def refresh(session: Session) -> gr.Dropdown:
        return gr.Dropdown(_entries(shelf), value=session.model or shelf.initial)

    chosen = picker.input(choose, [session, picker], [session, picker], **MODEL_QUEUE)
    # The list must not name a model that the photos were not segmented by.
    chosen.failure(refresh, session, picker, show_progress="hidden", api_visibility="private")
    picker.focus(refresh, session, picker, show_progress="hidden", api_visibility="private")
    return ModelPicker(chosen, View(refresh, [session], [picker]))


def _entries(shelf: ModelShelf) -> list[tuple[str, str]]:
    return [(choice.label, choice.key) for choice in shelf.choices()]
