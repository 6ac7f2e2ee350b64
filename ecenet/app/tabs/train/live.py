"""The live view of a run, updated from its folder."""

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ecenet.analysis.plots.training import loss_curves, miou_curves, separation_curves
from ecenet.app.tabs.train import render as run_view
from ecenet.training.jobs.status import RunReport, run_reports, sample_pictures
from ecenet.training.run_folder import read_metrics


class Seen(NamedTuple):
    """What the page shows, so that only changes are sent."""

    runs: tuple[tuple[str, str], ...] = ()
    """Name and state of each run."""
    chosen: str | None = None
    state: str | None = None
    logged: int = -1
    samples: int = -1


def refresh(chosen: str | None, number: float, seen: Seen, *, root: Path) -> list[Any]:
    """Return what has changed since `seen`: one value for each output of the view."""
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
    picker = gr.Dropdown(run_entries(states), value=now.chosen) if other or now.runs != seen.runs else gr.skip()
    log: Any = gr.skip()
    if other or now.state != seen.state:
        log = gr.HTML(run_view.log_end(run), visible=now.state == "failed")
    plots: list[Any] = [gr.skip()] * 3
    if other or now.logged != seen.logged:
        plots = [_plot(draw(entries)) for draw in (loss_curves, miou_curves, separation_curves)]
    slider, picture = gr.skip(), gr.skip()
    if other or pictures != seen.samples:
        # Follow the newest picture if it was shown; keep an older one.
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
        gr.Button(visible=now.state == "finished"),
    ]


def replay(chosen: str | None, number: float, *, root: Path) -> str:
    """Return the picture that the slider selects."""
    return run_view.sample(next((run for run in run_reports(root) if run.name == chosen), None), int(number))


def _plot(figure: Any) -> gr.Plot:
    return gr.Plot(figure, visible=bool(figure.data))


def run_entries(states: list[RunReport]) -> list[tuple[str, str]]:
    return [(f"{state.name} · {state.state}", state.name) for state in states]
