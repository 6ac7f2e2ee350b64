"""The part of the Similarity tab that asks how far one map can be trusted."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import gradio as gr
import numpy as np
import plotly.graph_objects as go

from ecenet.analysis.diagnostics.faithfulness import MapScores, score_map
from ecenet.analysis.diagnostics.map_checks import MapChecks, check_map
from ecenet.analysis.plots.faithfulness import faithfulness_curves
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import MODEL_QUEUE, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection, shown_class
from ecenet.app.state.session import Session
from ecenet.app.widgets.markup import escape
from ecenet.inference.prediction import stage_title

STEPS, RANDOM_ORDERS = 8, 3
HELP = (
    "Insertion: cells are uncovered over a blurred photo, the most similar first; deletion: they are covered. The "
    "score is the mean probability of the class over its final mask. A faithful map has a larger insertion area than "
    "random orders, and a smaller deletion area; a thing that fills the photo fails the second easily, since random "
    "holes spoil it all at once. Random heads: rank correlation with maps of untrained heads on the same features; "
    "near 1 the map shows the photo's edges, not what was learned. Leakage: the most similar cells are covered, as "
    "many as the class's final mask is large; it is how far class probabilities move (total variation) outside of the "
    "mask and of what is covered, and should be smaller than with the cells of untrained heads' maps. Robustness: "
    "rank correlation of the map with those of the photo under slight noise; a map should be at least as stable as "
    "those of untrained heads. One photo proves little: compare several."
)


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> Subscription:
    """Lay out the button, the badge and the curves. Returns what takes them away when something else is selected."""
    ask = gr.Button("How far can the selected map be trusted?", size="sm", elem_id="judge-map")
    badge = gr.HTML(elem_id="map-badge")
    curves = gr.Plot(show_label=False, visible=False, elem_id="faithfulness-plot")

    @show_errors
    def score(
        session: Session,
        selection: Selection,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[str, gr.Plot]:
        track = partial(progress.tqdm, desc="Covering and uncovering", unit="orders")
        page, figure = scored_map(session, selection, registry=registry, track=track)
        return page, gr.Plot(figure, visible=True)

    ask.click(score, [session, selection], [badge, curves], **MODEL_QUEUE)
    return Subscription(lambda: ("", gr.Plot(visible=False)), [], [badge, curves])


def scored_map(
    session: Session,
    selection: Selection,
    *,
    registry: ModelRegistry,
    track: Callable[[Sequence[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> tuple[str, go.Figure]:
    """The numbers of the selected photo, class and stage, and the curves behind them.

    Raises:
        UserError: there is no photo, or the final mask has no pixel of the class.
    """
    prediction = session.required_photo(selection).prediction
    name, stage = shown_class(prediction, selection.class_name), session.stage(selection)
    predictor, k = registry.open(session.model), prediction.class_names.index(name)
    found = score_map(
        predictor,
        prediction,
        stage=stage,
        class_index=k,
        steps=STEPS,
        random_orders=RANDOM_ORDERS,
        track=track,
    )
    title = f"{name} at {stage_title(stage)}"
    checks = check_map(predictor, prediction, stage=stage, class_index=k)
    return badge_of(found, title=title, checks=checks), faithfulness_curves(found.curves, title=title)


def badge_of(found: MapScores, *, title: str, checks: MapChecks | None = None) -> str:
    """Numbers, each beside what it should beat, and what they mean.

    Args:
        checks: two more numbers of the same map.
    """
    curves = found.curves
    rows: list[tuple[bool | None, str]] = [
        (
            found.insertion_passes,
            f"Insertion <b>{curves.insertion.area:.2f}</b>, random {curves.random_insertion.area:.2f}",
        ),
        (
            found.deletion_passes,
            f"Deletion <b>{curves.deletion.area:.2f}</b>, random {curves.random_deletion.area:.2f}",
        ),
        (found.is_learned, f"Random heads <b>{found.correlation:.2f}</b>"),
    ]
    if checks is not None:
        outside, untrained = checks.leakage.outside, checks.untrained_leakage.outside
        rows += [
            (
                None if np.isnan([outside, untrained]).any() else checks.leaks_less,
                f"Leakage <b>{_number(outside)}</b>, untrained {_number(untrained)}",
            ),
            (
                None if np.isnan([checks.robustness, checks.untrained_robustness]).any() else checks.is_robust,
                f"Robustness <b>{_number(checks.robustness)}</b>, untrained {_number(checks.untrained_robustness)}",
            ),
        ]
    marks = "".join(_mark(good, text) for good, text in rows)
    return f"""
<p class="ece-badge">{escape(title)}: {marks}</p>
<details class="ece-note">
  <summary>What these numbers mean, and when not to trust them</summary>{escape(HELP)}
</details>"""


def _mark(good: bool | None, text: str) -> str:
    """Args:
    good: None where there is nothing to hold the number to.
    """
    if good is None:
        return f'<span class="ece-state">{text}</span>'
    return (
        f'<span class="ece-state" data-state="{"finished" if good else "failed"}">{"✓" if good else "✗"} {text}</span>'
    )


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}" if abs(value) < 0.01 else f"{value:.2f}"
