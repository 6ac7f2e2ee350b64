"""Similarity: one class's maps at every stage, side by side, on one scale."""

from dataclasses import replace

import gradio as gr
import numpy as np

from ecenet.overlay import heat_gradient, similarity_overlay
from ecenet.prediction import Prediction, stage_title
from ecenet.ui.html import data_uri, empty_state, escape
from ecenet.ui.selection import Selection, shown_class
from ecenet.ui.session import Session
from ecenet.ui.view import View


def build(session: gr.State, selection: gr.State) -> View:
    """Lay out the tab."""
    gr.Markdown(
        "How much each place looks like one class, before any softmax. At stages 4 to 1 the map is the similarity of "
        "features and class embedding, which *is* the mask that emerges; the first is ECE's coarse mask, the last the "
        "final logits."
    )
    chosen = gr.Dropdown([], label="Class (largest first)", elem_id="class-picker", interactive=True)
    view = gr.HTML(render_maps(None, None), elem_id="similarity-view")
    chosen.input(choose_class, [selection, chosen], selection, show_progress="hidden", api_visibility="private")
    return View(render, [session, selection], [chosen, view])


def choose_class(selection: Selection, chosen: str) -> Selection:
    return replace(selection, class_name=chosen)


def render(session: Session, selection: Selection) -> tuple[gr.Dropdown, str]:
    """The classes of the photo looked at, largest first, and the maps of the chosen one."""
    photo = session.photo(selection)
    if photo is None:
        return gr.Dropdown(choices=[], value=None), render_maps(None, None)
    prediction = photo.prediction
    names = [prediction.class_names[k] for k in np.argsort(-prediction.final.area, kind="stable")]
    chosen = shown_class(prediction, selection.class_name)
    return gr.Dropdown(choices=names, value=chosen), render_maps(prediction, chosen)


def render_maps(prediction: Prediction | None, chosen: str | None) -> str:
    """One heat map a stage, and the common scale with its numbers."""
    if prediction is None or chosen is None:
        return empty_state("Add a photo first: the similarity maps of its classes appear here.")
    k = prediction.class_names.index(chosen)
    low, high = similarity_range(prediction, k)
    panels = "".join(
        f'<figure><img src="{_heat(prediction, name, k, low=low, high=high)}" '
        f'alt="{escape(f"Similarity to {chosen} at {stage_title(name)}")}">'
        f"<figcaption>{stage_title(name)} <small>{stage.mask_logits.shape[2]}×{stage.mask_logits.shape[1]}, "
        f"{stage.mask_logits[k].min():.1f} … {stage.mask_logits[k].max():.1f}</small></figcaption></figure>"
        for name, stage in prediction.stages.items()
    )
    return f"""
<div class="ece-scale" role="img" aria-label="Colour scale from {low:.1f} to {high:.1f}">
  <span>{low:.1f}</span><div style="background:{heat_gradient()}"></div><span>{high:.1f}</span>
  <span>similarity to <b>{escape(chosen)}</b></span>
</div>
<div class="ece-grid">{panels}</div>"""


def similarity_range(prediction: Prediction, k: int) -> tuple[float, float]:
    """Ends of the scale that all stages of one class share: the lowest 1st and the highest 99th percentile."""
    ends = [np.percentile(stage.mask_logits[k], [1, 99]) for stage in prediction.stages.values()]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _heat(prediction: Prediction, stage: str, k: int, *, low: float, high: float) -> str:
    picture = similarity_overlay(prediction.image, prediction.stages[stage].mask_logits[k], low=low, high=high)
    return data_uri(picture, file_format="JPEG")
