"""The button that makes the bank of a run's weights if there is none."""

from pathlib import Path

import gradio as gr

from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import MODEL_EACH, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.run_bank import lacks_bank, make_run_bank
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session


def build(
    session: gr.State, selection: gr.State, *, registry: ModelRegistry, runs: Path | None, elem_id: str
) -> Subscription | None:
    """Lay out the button. Returns the subscription that shows it if the bank is missing, or None without runs.

    Args:
        runs: folder of the runs; None in a public app.
    """
    if runs is None:
        return None
    button = gr.Button("Make the bank of this run", size="sm", visible=False, elem_id=elem_id)

    @show_errors
    def make(
        session: Session,
        selection: Selection,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
    ) -> Selection:
        make_run_bank(registry, session.model, root=runs)
        return selection.revised()

    button.click(make, [session, selection], selection, show_progress_on=button, **MODEL_EACH)
    return Subscription(
        lambda session: gr.Button(visible=lacks_bank(registry, session.model)), [session], [button], "photo"
    )
