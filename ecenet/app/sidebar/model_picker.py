"""The model picker. All photos of the session are segmented by the selected model."""

from functools import partial

import gradio as gr

from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import HIDDEN, MODEL_EACH, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session, choose_model


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> Subscription:
    """Lay out the picker. Returns the subscription that updates the list, since a run may have finished."""
    entries = model_entries(registry)
    picker = gr.Dropdown(entries, value=registry.initial, label="Model", filterable=False, elem_id="model-picker")

    @show_errors
    def choose(
        session: Session,
        selection: Selection,
        key: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Session, Selection, str]:
        track = partial(progress.tqdm, desc="Segmenting your photos again", unit="photos")
        return choose_model(session, key, registry=registry, track=track), selection.revised(), key

    def refresh(session: Session) -> gr.Dropdown:
        return gr.Dropdown(model_entries(registry), value=session.model or registry.initial)

    chosen = picker.input(choose, [session, selection, picker], [session, selection, picker], **MODEL_EACH)
    # After a failure, show the model that the photos are segmented by.
    chosen.failure(refresh, session, picker, **HIDDEN)
    picker.focus(refresh, session, picker, **HIDDEN)
    return Subscription(refresh, [session], [picker], "photo")


def model_entries(registry: ModelRegistry) -> list[tuple[str, str]]:
    """Return (label, key) of every available model."""
    return [(choice.label, choice.key) for choice in registry.choices()]
