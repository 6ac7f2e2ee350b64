"""The Train tab: start a run from labelled photos in three steps, and watch it. All views are read from the run's
folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import LATEST, MODEL_EACH, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.run_bank import open_run
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.app.tabs.train import form as run_form
from ecenet.app.tabs.train import handlers, live
from ecenet.app.tabs.train import render as run_view

POLL_SECONDS = 2.5
CLOSED = (
    "Training is disabled here, because it would let every visitor read this server's folders and use its processor. "
    "Run the app on your own machine (`make app`) to train."
)
SHOW_PROBLEM = """() => setTimeout(() => {
  const problem = [...document.querySelectorAll('.ece-field-error')].find((one) => one.offsetParent);
  (problem ?? document.querySelector('#run-status')).scrollIntoView({block: 'nearest', behavior: 'smooth'});
}, 300)"""
"""Scrolls to the first error of the form or, without errors, to the run."""


class TrainTab(NamedTuple):
    view: Subscription
    finished: gr.State
    """Names of the finished runs."""
    opened: Callable[..., Any]
    """The event after which the weights of a run are selected."""


def build_closed() -> None:
    """Lay out the note that replaces the tab in a public app."""
    gr.Markdown(CLOSED, elem_id="train-closed")


def build(
    session: gr.State,
    selection: gr.State,
    shown_tab: gr.State,
    *,
    tabs: gr.Tabs,
    registry: ModelRegistry,
    runs: Path,
) -> TrainTab:
    """Lay out the tab.

    Args:
        shown_tab: holds the id of the tab that is shown.
        tabs: the page's tabs; opening a run selects the map.
        runs: folder of the runs.
    """
    seen, finished = gr.State(live.Seen()), gr.State(())
    prepared, measured = gr.State(None), gr.State(None)
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            form = run_form.build(megabytes=registry.limits.megabytes)
        with gr.Column(scale=1, min_width=300):
            gr.Markdown("## 4. Watch it learn", elem_classes="ece-step-title")
            chosen = gr.Dropdown([], label="Run", filterable=False, interactive=True, elem_id="run-picker")
            status = gr.HTML(run_view.status(None), elem_id="run-status")
            with gr.Row():
                stop = gr.Button("Stop", size="sm", interactive=False, elem_id="stop-run", min_width=90)
                resume = gr.Button("Resume", size="sm", interactive=False, elem_id="resume-run", min_width=90)
            opener = gr.Button("Open in the app", variant="primary", visible=False, elem_id="open-run")
            log = gr.HTML(visible=False, elem_id="run-log")
            plots = [
                gr.Plot(show_label=False, visible=False, elem_id=f"{name}-plot")
                for name in ("loss", "miou", "separation")
            ]
            number = gr.Slider(
                1, 2, step=1, label="Validation", visible=False, elem_id="sample-number", buttons=[], interactive=True
            )
            picture = gr.HTML(visible=False, elem_id="sample-picture")
    timer = gr.Timer(POLL_SECONDS, active=False)

    view = Subscription(
        partial(live.refresh, root=runs),
        [chosen, number, seen],
        [chosen, stop, resume, status, log, *plots, number, picture, timer, seen, finished, opener],
    )
    view.after(timer.tick)
    view.after(chosen.input)
    number.input(partial(live.replay, root=runs), [chosen, number], picture, **LATEST)

    private: dict[str, Any] = {"api_visibility": "private"}
    looked_at = [form.data, form.layout, form.name, prepared, form.found, *form.errors]
    check = show_errors(partial(handlers.check_data, root=runs))
    checking: dict[str, Any] = private | {"show_progress_on": form.found, "trigger_mode": "once"}
    gr.on([form.check.click, form.data.submit], check, [form.data, form.layout, form.name], looked_at, **checking)
    form.zipped.upload(
        show_errors(partial(handlers.check_zip, root=runs)), [form.zipped, form.name], looked_at, **checking
    )

    timed = form.measure.click(
        show_errors(partial(handlers.measure, root=runs)),
        [prepared, *form.inputs],
        [measured, *form.errors],
        show_progress_on=form.length,
        **private,
    )
    for event in (timed.success, form.minutes.input):
        event(handlers.describe_length, [measured, form.minutes], form.length, **LATEST)

    started = form.start.click(
        show_errors(partial(handlers.begin, root=runs)),
        [prepared, measured, *form.inputs],
        [chosen, *form.errors],
        show_progress_on=status,
        **private,
    )
    view.after(started.success)
    started.success(None, None, None, js=SHOW_PROBLEM)
    view.after(stop.click(show_errors(partial(handlers.stop, root=runs)), chosen, None, **private).then)
    view.after(resume.click(show_errors(partial(handlers.resume, root=runs)), chosen, None, **private).then)

    @show_errors
    def open_chosen(
        session: Session,
        selection: Selection,
        name: str | None,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
    ) -> tuple[Session, Selection, gr.Tabs, str]:
        track = partial(progress.tqdm, desc="Segmenting your photos again", unit="photos")
        opened, looking = open_run(session, selection, name, registry=registry, root=runs, track=track)
        return opened, looking, gr.Tabs(selected="class-embeddings"), "class-embeddings"

    opened = opener.click(
        open_chosen,
        [session, selection, chosen],
        [session, selection, tabs, shown_tab],
        show_progress_on=status,
        **MODEL_EACH,
    )
    return TrainTab(view, finished, opened.success)
