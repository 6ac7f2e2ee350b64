"""How a photo's class embeddings lie among those of the reference photos: own centroid, nearest rival, margin."""

from functools import partial

import gradio as gr
import numpy as np

from ecenet.explore.consistency import ClassConsistency, prediction_consistency, reference_centroids
from ecenet.prediction import Prediction, stage_title
from ecenet.ui.html import color_swatch, escape
from ecenet.ui.map_events import embedding_stage
from ecenet.ui.reference import find_bank
from ecenet.ui.selection import MIN_AREA, Selection
from ecenet.ui.session import Session
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.toast import show_errors
from ecenet.ui.view import View


def build(session: gr.State, selection: gr.State, *, shelf: ModelShelf) -> View:
    """Lay out the table."""
    table = gr.HTML(elem_id="consistency")
    return View(show_errors(partial(render, shelf=shelf)), [session, selection], [table], "stage")


def render(session: Session, selection: Selection, *, shelf: ModelShelf) -> str:
    """Of the photo looked at, at the selected stage; nothing where the model has no bank beside it."""
    photo, bank = session.photo(selection), find_bank(shelf, session.model)
    if photo is None or bank is None:
        return ""
    stage = embedding_stage(session, selection)
    rows = prediction_consistency(photo.prediction, reference_centroids(bank), stage=stage, min_area=MIN_AREA)
    return consistency_table(rows, prediction=photo.prediction, stage=stage)


def consistency_table(rows: list[ClassConsistency], *, prediction: Prediction, stage: str) -> str:
    """One row a class, the largest first."""
    names, colors = prediction.class_names, prediction.class_colors
    body = "".join(
        f"<tr><td>{color_swatch(colors[row.class_index])}{escape(names[row.class_index])}</td>"
        f"<td>{_number(row.distance)}</td>"
        f"<td>{'–' if row.rival is None else color_swatch(colors[row.rival]) + escape(names[row.rival])}</td>"
        f"<td>{_number(row.margin)}</td></tr>"
        for row in rows
    )
    return f"""
<table class="ece-legend">
  <caption>{stage_title(stage)}: this photo's classes among the reference photos'</caption>
  <thead><tr><th>Class</th><th>Distance to its centroid</th><th>Nearest rival</th><th>Margin</th></tr></thead>
  <tbody>{body}</tbody>
</table>
<p class="ece-note">Cosine distances. Margin: how much farther the rival's centroid is; below 0 the embedding lies
nearer to the rival. An explanation, no warning: on validation photos the mean confidence tells failures better.</p>"""


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
