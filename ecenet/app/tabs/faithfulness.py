"""Section of the Similarity tab that measures the faithfulness of a map."""

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
    "Insertion: cells are revealed over a blurred photo, most similar first. Deletion: they are covered. The score is "
    "the mean probability of the class over its final mask. A faithful map has a larger insertion area and a smaller "
    "deletion area than random orders. Objects that fill the photo often fail the deletion test, because random holes "
    "quickly destroy them. Random heads: rank correlation with maps of untrained heads on the same features; near 1 "
    "the map shows edges of the photo, not what was learned. Leakage: the most similar cells (as many as the class's "
    "final mask) are covered; the value is the change of class probabilities (total variation) outside the mask and "
    "the covered cells, and should be smaller than for maps of untrained heads. Robustness: rank correlation with maps "
    "of the photo with slight noise; it should be at least as high as for untrained heads. Compare several photos."
)


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> Subscription:
    """Lay out the button, the badge and the curves. Returns the subscription that clears them for a new selection."""
    ask = gr.Button("Measure the faithfulness of this map", size="sm", elem_id="judge-map")
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
    """Return the measures for the selected photo, class and stage, and the curves.

    Raises:
        UserError: there is no photo, or the class has no pixels in the final mask.
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
    """Return the measures, each with its baseline, and an explanation.

    Args:
        checks: leakage and robustness of the same map.
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
  <summary>What these numbers mean, and their limits</summary>{escape(HELP)}
</details>"""


def _mark(good: bool | None, text: str) -> str:
    """Return a measure with a check mark or cross.

    Args:
        good: None if there is no baseline.
    """
    if good is None:
        return f'<span class="ece-state">{text}</span>'
    return (
        f'<span class="ece-state" data-state="{"finished" if good else "failed"}">{"✓" if good else "✗"} {text}</span>'
    )


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}" if abs(value) < 0.01 else f"{value:.2f}"
