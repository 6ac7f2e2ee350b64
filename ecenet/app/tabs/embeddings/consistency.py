"""A photo's classes among those of the reference photos: distances, rivals, and which masks may be wrong."""

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
    """Of the selected photo, at the selected stage; nothing where the model has no bank beside it."""
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
    """One row a class, the largest first."""
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
  <caption>{stage_title(stage)}: this photo's classes among the reference photos'</caption>
  <thead><tr><th>Class</th><th>Mean confidence</th><th>Distance to its centroid</th><th>Nearest rival</th>
  <th>Margin</th></tr></thead>
  <tbody>{body}</tbody>
</table>
<p class="ece-note">Cosine distances. Margin: how much farther the rival's centroid is; below 0 the embedding lies
nearer to the rival. Distances explain and do not warn: on validation photos confidence tells wrong masks better.</p>
{_help(warning, stage)}"""


def _help(warning: ConfidenceWarning | None, stage: str) -> str:
    """What the warning means at a stage, by the figures that were measured there; nothing where there is none."""
    found = None if warning is None else warning.stages.get(stage)
    if warning is None or found is None:
        return ""
    wrong = found.failures / found.pairs
    return f"""
<details class="ece-note" data-warning="{stage}">
  <summary>When it says &ldquo;may be wrong&rdquo;, and when not to trust that</summary>
  Where the class's mask at {stage_title(stage)} has a mean confidence below {found.threshold:.0%}. Measured on
  {found.images} photos of {escape(warning.data)} ({escape(warning.split)}): {found.precision:.0%} of the masks with
  so little had an IoU with the truth below {warning.failed_below:g}, the others were false alarms; and they were
  {found.recall:.0%} of all such masks, so no warning is no proof that a mask is right. There {wrong:.0%} of all masks
  were wrong; where more or fewer are, a warning is right more or less often. Photos of another kind, and things that
  the weights have no class for, can be wrong with high confidence. Masks of at most {warning.min_area:.1%} of the
  photo were not scored and are never warned of.
</details>"""


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0%}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
