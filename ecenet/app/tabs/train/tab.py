"""Train: start runs, watch them learn, stop and resume them. Every picture is drawn from the run's folder."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ecenet.analysis.plots.training import loss_curves, miou_curves, separation_curves
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import LATEST, Subscription
from ecenet.app.tabs.train import render as run_view
from ecenet.app.widgets.data_fields import data_fields
from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.inference.weights import shipped_weights
from ecenet.training.jobs.form import RunRequest
from ecenet.training.jobs.launcher import resume_run, start_run, stop_run
from ecenet.training.jobs.status import RunReport, run_reports, sample_pictures
from ecenet.training.presets import RECIPES, find_recipe
from ecenet.training.run_folder import read_metrics

POLL_SECONDS = 2.5
NO_PRESET = "none"
NO_START = "none"
CLOSED = (
    "Training is off here: it would let every visitor read this server's folders and use its processor. "
    "Run the app on your own machine (`make app`) to train."
)


class Seen(NamedTuple):
    """What a page shows, so that only what has changed is sent again."""

    runs: tuple[tuple[str, str], ...] = ()
    """Name and state of each."""
    chosen: str | None = None
    state: str | None = None
    logged: int = -1
    samples: int = -1


class TrainTab(NamedTuple):
    view: Subscription
    finished: gr.State
    """Names of the finished runs; it changes when a run finishes."""


def build_closed() -> None:
    """What a public app has in place of the tab: one line, no event."""
    gr.Markdown(CLOSED, elem_id="train-closed")


def build(*, runs: Path) -> TrainTab:
    """Lay out the tab.

    Args:
        runs: folder where runs are looked for and put.
    """
    seen, finished = gr.State(Seen()), gr.State(())
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            form, start = _form()
        with gr.Column(scale=2, min_width=300):
            chosen = gr.Dropdown([], label="Run", filterable=False, interactive=True, elem_id="run-picker")
            status = gr.HTML(run_view.status(None), elem_id="run-status")
            with gr.Row():
                stop = gr.Button("Stop", size="sm", interactive=False, elem_id="stop-run", min_width=90)
                resume = gr.Button("Resume", size="sm", interactive=False, elem_id="resume-run", min_width=90)
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
        partial(refresh, root=runs),
        [chosen, number, seen],
        [chosen, stop, resume, status, log, *plots, number, picture, timer, seen, finished],
    )
    view.after(timer.tick)
    view.after(chosen.input)
    number.input(partial(replay, root=runs), [chosen, number], picture, **LATEST)

    @show_errors
    def begin(*values: Any) -> gr.Dropdown:
        name = start_run(_request(*values), root=runs)
        return gr.Dropdown(_entries(run_reports(runs)), value=name)

    @show_errors
    def end(name: str | None) -> None:
        stop_run(name, root=runs)

    @show_errors
    def go_on(name: str | None) -> None:
        resume_run(name, root=runs)

    private: dict[str, Any] = {"api_visibility": "private"}
    view.after(start.click(begin, form, chosen, scroll_to_output=True, **private).success)
    view.after(stop.click(end, chosen, None, **private).then)
    view.after(resume.click(go_on, chosen, None, **private).then)
    return TrainTab(view, finished)


def _form() -> tuple[list[Any], gr.Button]:
    """Fields in the order of `_request`, and the button."""
    presets = [("none: the defaults of train", NO_PRESET), *((recipe.name, recipe.name) for recipe in RECIPES)]
    name = gr.Textbox(label="Run name", placeholder="mine-1", max_length=64, max_lines=1, elem_id="run-name")
    data, layout = data_fields("Data folder", elem_id="run")
    starts = sorted(shipped_weights(), key=lambda weights: weights != DEFAULT_WEIGHTS)
    start_from = gr.Dropdown(
        [*starts, ("none: a backbone from the internet", NO_START)],
        value=starts[0] if starts else NO_START,
        label="Start from",
        info="Weights that know photos already learn new classes in minutes",
        filterable=False,
        interactive=True,
        elem_id="run-start-from",
    )
    preset = gr.Dropdown(
        presets, value=NO_PRESET, label="Preset", filterable=False, interactive=True, elem_id="run-preset"
    )
    about = gr.Markdown(visible=False, elem_id="preset-note")
    with gr.Accordion("Advanced: empty means the preset's", open=False, elem_id="run-advanced"):
        backbone = gr.Textbox(
            label="Backbone weights",
            placeholder="backbone.safetensors",
            info="A file, in the place of what the run starts from",
            elem_id="run-backbone",
        )
        with gr.Row():
            # Not gr.Number: an empty one arrives as 0.
            numbers = [
                gr.Textbox(label=label, placeholder="preset's", max_length=9, min_width=110, elem_id=f"run-{key}")
                for label, key in (("Steps", "steps"), ("Batch", "batch"), ("Crop", "crop"))
            ]
        more = gr.Textbox(
            label="More options", placeholder="--lr 5e-4 --seed 1", info="As for train --help", elem_id="run-more"
        )
    start = gr.Button("Start", variant="primary", elem_id="start-run")
    preset.input(describe_preset, preset, [about, layout, start_from], **LATEST)
    return [name, data, preset, layout, start_from, backbone, *numbers, more], start


def _request(
    name: str,
    data: str,
    preset: str,
    layout: Layout,
    start_from: str,
    backbone: str | None,
    steps: str | None,
    batch_size: str | None,
    crop_size: str | None,
    more: str | None,
) -> RunRequest:
    """The fields as the form has them. Browsers send None for those of an accordion that was never opened.

    Raises:
        UserError: a number is none.
    """
    chosen = None if preset == NO_PRESET else preset
    return RunRequest(
        name,
        data,
        layout,
        chosen,
        start_from="" if start_from == NO_START or (backbone or "").strip() else start_from,
        backbone_weights=backbone or "",
        steps=_number(steps, "Steps"),
        batch_size=_number(batch_size, "Batch"),
        crop_size=_number(crop_size, "Crop"),
        more=more or "",
    )


def _number(text: str | None, field: str) -> int | None:
    """None where the field is empty."""
    text = (text or "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UserError(
            "invalid-value",
            f"Expected {field} to be a whole number above 0, got {text[:20]!r}; correct it or clear it.",
        )
    return int(text)


def describe_preset(name: str) -> tuple[gr.Markdown, str, str]:
    """What to expect of a preset, the layout that it is for, and what to start from: presets begin with a backbone."""
    if name == NO_PRESET:
        return gr.Markdown(visible=False), "folder", DEFAULT_WEIGHTS
    recipe = find_recipe(name)
    text = f"{recipe.summary}. mIoU: {recipe.miou}. Run time: {recipe.run_time}. Made for `{recipe.needs}`"
    return gr.Markdown(text, visible=True), str(recipe.options.get("layout", "folder")), NO_START


def refresh(chosen: str | None, number: float, seen: Seen, *, root: Path) -> list[Any]:
    """Everything that has changed since `seen`; one value for each output of the view."""
    states = run_reports(root)
    run = next((state for state in states if state.name == chosen), states[0] if states else None)
    entries = read_metrics(run.folder) if run else []
    pictures = len(sample_pictures(run.folder)) if run else 0
    now = Seen(
        tuple((state.name, state.state) for state in states),
        run.name if run else None,
        run.state if run else None,
        len(entries),
        pictures,
    )
    other = now.chosen != seen.chosen
    picker = gr.Dropdown(_entries(states), value=now.chosen) if other or now.runs != seen.runs else gr.skip()
    log: Any = gr.skip()
    if other or now.state != seen.state:
        log = gr.HTML(run_view.log_end(run), visible=now.state == "failed")
    plots: list[Any] = [gr.skip()] * 3
    if other or now.logged != seen.logged:
        plots = [_plot(draw(entries)) for draw in (loss_curves, miou_curves, separation_curves)]
    slider, picture = gr.skip(), gr.skip()
    if other or pictures != seen.samples:
        # Whoever looks at the newest picture goes on doing so; whoever looks back stays there.
        shown = pictures if other or number >= seen.samples else int(number)
        slider = gr.Slider(maximum=max(2, pictures), value=max(1, shown), visible=pictures > 1)
        picture = gr.HTML(run_view.sample(run, shown), visible=pictures > 0)
    active = run is not None and run.active
    return [
        picker,
        gr.Button(interactive=active and now.state != "stopping"),
        gr.Button(interactive=now.state in ("stopped", "failed")),
        run_view.status(run),
        log,
        *plots,
        slider,
        picture,
        gr.Timer(active=any(state.active for state in states)),
        now,
        tuple(state.name for state in states if state.state == "finished"),
    ]


def replay(chosen: str | None, number: float, *, root: Path) -> str:
    """The picture that the slider points at."""
    return run_view.sample(next((run for run in run_reports(root) if run.name == chosen), None), int(number))


def _plot(figure: Any) -> gr.Plot:
    return gr.Plot(figure, visible=bool(figure.data))


def _entries(states: list[RunReport]) -> list[tuple[str, str]]:
    return [(f"{state.name} · {state.state}", state.name) for state in states]
