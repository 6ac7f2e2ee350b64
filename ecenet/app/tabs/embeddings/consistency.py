"""Table of a photo's classes in comparison with the reference photos: distances, rivals, and warnings."""

from functools import partial

import gradio as gr
import numpy as np

from ecenet.analysis.diagnostics.centroid_distance import ClassConsistency, prediction_consistency, reference_centroids
from ecenet.analysis.diagnostics.mask_warnings import ConfidenceWarning
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank, find_warning
from ecenet.app.state.selection import MIN_AREA, Selection
from ecenet.app.state.session import Session
from ecenet.app.widgets.markup import color_swatch, escape
from ecenet.inference.prediction import Prediction, stage_title

WARNED = '<span class="ece-state" data-state="failed">may be wrong</span>'


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> Subscription:
    """Lay out the table."""
    table = gr.HTML(elem_id="consistency")
    return Subscription(show_errors(partial(render, registry=registry)), [session, selection], [table], "stage")


def render(session: Session, selection: Selection, *, registry: ModelRegistry) -> str:
    """Return the table for the selected photo and stage; empty if the model has no bank."""
    photo, bank = session.photo(selection), find_bank(registry, session.model)
    if photo is None or bank is None:
        return ""
    stage = session.embedding_stage(selection)
    rows = prediction_consistency(photo.prediction, reference_centroids(bank), stage=stage, min_area=MIN_AREA)
    warning = find_warning(registry, session.model)
    return consistency_table(rows, prediction=photo.prediction, stage=stage, warning=warning)


def consistency_table(
    rows: list[ClassConsistency], *, prediction: Prediction, stage: str, warning: ConfidenceWarning | None = None
) -> str:
    """Return the table with one row per class, largest first."""
    names, colors, at_stage = prediction.class_names, prediction.class_colors, prediction.stages[stage]
    body = ""
    for row in rows:
        k = row.class_index
        warned = warning is not None and warning.warns(at_stage, k)
        rival = "–" if row.rival is None else color_swatch(colors[row.rival]) + escape(names[row.rival])
        body += (
            f"<tr><td>{color_swatch(colors[k])}{escape(names[k])}</td>"
            f"<td>{WARNED if warned else ''}{_percent(at_stage.mean_confidence[k])}</td>"
            f"<td>{_number(row.distance)}</td><td>{rival}</td><td>{_number(row.margin)}</td></tr>"
        )
    return f"""
<table class="ece-legend">
  <caption>{stage_title(stage)}: this photo's classes compared with the reference photos</caption>
  <thead><tr><th>Class</th><th>Mean confidence</th><th>Distance to its centroid</th><th>Nearest rival</th>
  <th>Margin</th></tr></thead>
  <tbody>{body}</tbody>
</table>
<p class="ece-note">Cosine distances. Margin: distance to the rival's centroid minus distance to its own; below 0, the
rival is nearer. Warnings use only the confidence, which detects wrong masks better than distances.</p>
{_help(warning, stage)}"""


def _help(warning: ConfidenceWarning | None, stage: str) -> str:
    """Return an explanation of the warning at a stage, with its measured precision and recall; empty without one."""
    found = None if warning is None else warning.stages.get(stage)
    if warning is None or found is None:
        return ""
    wrong = found.failures / found.pairs
    return f"""
<details class="ece-note" data-warning="{stage}">
  <summary>What &ldquo;may be wrong&rdquo; means, and its limits</summary>
  The class's mask at {stage_title(stage)} has a mean confidence below {found.threshold:.0%}. A mask counts as wrong
  if its IoU with the ground truth is below {warning.failed_below:g}. On {found.images} photos of
  {escape(warning.data)} ({escape(warning.split)}), {wrong:.0%} of all masks were wrong; {found.precision:.0%} of the
  warnings were correct, and {found.recall:.0%} of the wrong masks got a warning. A mask without a warning can still be
  wrong. Photos of another kind, and objects that the weights have no class for, can be wrong with high confidence.
  Masks of at most {warning.min_area:.1%} of the photo were not measured and never get a warning.
</details>"""


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0%}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
