"""The Similarity tab: maps of one class at every stage, or of every class at one stage, and the gates."""

from pathlib import Path
from typing import Literal

import gradio as gr
import numpy as np

from ecenet.analysis.diagnostics.similarity_maps import classes_seen, common_scale, overwritten
from ecenet.app.state.events import EACH, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import choose_class, choose_place
from ecenet.app.state.selection import MIN_AREA, Selection, shown_class
from ecenet.app.state.session import Session
from ecenet.app.tabs import faithfulness
from ecenet.app.widgets import download
from ecenet.app.widgets.class_lists import CLASS_HELP, class_choices
from ecenet.app.widgets.markup import color_swatch, data_uri, empty_state, escape, on_click
from ecenet.inference.export import stage_arrays
from ecenet.inference.overlay import heat_gradient, similarity_overlay
from ecenet.inference.prediction import Prediction, stage_title

MAX_CLASSES = 24
"""Largest number of maps of one stage."""
GATE_OVERWROTE = "share of each class embedding that a stage replaced by the evidence of its mask"
GATE_ADDED = "share of the mask's evidence that a stage added to each class embedding"
Rows = Literal["stages", "classes"]
CLICK = on_click(
    "[data-stage][data-class]",
    "place",
    "{stage: picked.dataset.stage, class_index: Number(picked.dataset.class)}",
)


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> list[Subscription]:
    """Lay out the tab."""
    gr.Markdown(
        "How similar each place is to a class, before any softmax. At the numbered stages of ECENet, the map is the "
        "similarity of features and class embedding, which is also the mask of that stage. With SegViT, it combines "
        "the attention masks with the class scores of the embeddings. The first map is the coarse mask of ECE, if any; "
        "the last shows the final logits. Click a map to select its class and stage in every tab."
    )
    with gr.Row():
        rows = gr.Radio(
            [("one class, all stages", "stages"), ("all classes, one stage", "classes")],
            value="stages",
            label="Maps of",
            elem_id="map-rows",
            scale=2,
            min_width=300,
        )
        chosen = gr.Dropdown([], label=f"Class ({CLASS_HELP})", elem_id="class-picker", interactive=True, min_width=160)
    maps = gr.HTML(empty(), elem_id="similarity-view", js_on_load=CLICK)
    gates = gr.HTML("", elem_id="gate-view", js_on_load=CLICK)
    scores = faithfulness.build(session, selection, registry=registry)
    download.build("Download the arrays (.npz)", save_arrays, [session, selection], elem_id="download-maps")

    view = Subscription(render, [session, selection, rows], [chosen, maps, gates])
    view.after(rows.input)
    chosen.input(choose_class, [selection, chosen], selection, **EACH)
    for clicked in (maps.place, gates.place):
        clicked(choose_place, [session, selection], selection, **EACH)
    return [view, scores]


def render(session: Session, selection: Selection, rows: Rows) -> tuple[gr.Dropdown, str, str]:
    """Return the list of classes, with those of the selected photo first, the maps and the gates."""
    photo = session.photo(selection)
    if photo is None:
        return gr.Dropdown(choices=[], value=None), empty(), ""
    prediction = photo.prediction
    chosen, stage = shown_class(prediction, selection.class_name), session.stage(selection)
    return (
        gr.Dropdown(choices=class_choices(prediction), value=chosen),
        render_maps(prediction, class_name=chosen, stage=stage, rows=rows),
        render_gates(prediction, class_name=chosen, stage=stage),
    )


def empty() -> str:
    return empty_state("Add a photo to see the similarity maps of its classes.")


def render_maps(prediction: Prediction, *, class_name: str, stage: str, rows: Rows) -> str:
    """Return a heat map for each stage or class, and their common colour scale. The selected map is marked."""
    selected = prediction.class_names.index(class_name)
    if rows == "stages":
        places = [(name, selected) for name in prediction.stages]
        meaning = f"similarity to <b>{escape(class_name)}</b>"
    else:
        shown = classes_seen(prediction, min_area=MIN_AREA, limit=MAX_CLASSES)
        places = [(stage, k) for k in dict.fromkeys([*shown, selected])]
        meaning = f"similarity at <b>{stage_title(stage)}</b>"
    low, high = common_scale([prediction.stages[name].mask_logits[k] for name, k in places])
    panels = "".join(
        _panel(
            prediction, name, k, low=low, high=high, by_class=rows == "classes", current=(name, k) == (stage, selected)
        )
        for name, k in places
    )
    return f"""
<div class="ece-scale" role="img" aria-label="Colour scale from {_number(low)} to {_number(high)}">
  <span>{_number(low)}</span><div style="background:{heat_gradient()}"></div><span>{_number(high)}</span>
  <span>{meaning}</span>
</div>
<div class="ece-grid">{panels}</div>"""


def _panel(
    prediction: Prediction, stage: str, k: int, *, low: float, high: float, by_class: bool, current: bool
) -> str:
    """Return one map, a button that selects its stage and class."""
    values = prediction.stages[stage].mask_logits[k]
    name = prediction.class_names[k]
    picture = data_uri(similarity_overlay(prediction.image, values, low=low, high=high), file_format="JPEG")
    title = f"{color_swatch(prediction.class_colors[k])}{escape(name)}" if by_class else stage_title(stage)
    extent = f"{_number(values.min())} … {_number(values.max())}"
    return f"""
<button type="button" class="ece-card" data-stage="{stage}" data-class="{k}" aria-pressed="{str(current).lower()}">
  <img src="{picture}" alt="{escape(f"Similarity to {name} at {stage_title(stage)}")}">
  <span>{title} <small>{values.shape[1]}×{values.shape[0]}, {extent}</small></span>
</button>"""


def _number(similarity: float) -> str:
    return f"{round(float(similarity), 1) + 0.0:.1f}"  # adding 0.0 turns −0.0 into 0.0


def render_gates(prediction: Prediction, *, class_name: str, stage: str) -> str:
    """Return a table of classes and stages with the share of the embedding that the gate replaced by the mask's
    evidence or, in the authors' release, the share of the evidence that it added."""
    shares = overwritten(prediction)
    if not shares:
        return ""
    selected = prediction.class_names.index(class_name)
    shown = classes_seen(prediction, min_area=MIN_AREA, limit=MAX_CLASSES)
    heads = "".join(f'<th scope="col">{stage_title(name)}</th>' for name in shares)
    lines = ""
    for k in dict.fromkeys([*shown, selected]):
        cells = [
            _gate_cell(name, k, share[k], current=(name, k) == (stage, selected)) for name, share in shares.items()
        ]
        label = f"{color_swatch(prediction.class_colors[k])}{escape(prediction.class_names[k])}"
        lines += f'<tr><th scope="row">{label}</th>{"".join(cells)}</tr>'
    return f"""
<table class="ece-gates">
  <caption>Gate: {GATE_ADDED if prediction.gate_adds else GATE_OVERWROTE}</caption>
  <thead><tr><th scope="col">Class</th>{heads}</tr></thead><tbody>{lines}</tbody>
</table>"""


def _gate_cell(stage: str, k: int, share: float, *, current: bool) -> str:
    return (
        f'<td><button type="button" data-stage="{stage}" data-class="{k}" aria-pressed="{str(current).lower()}" '
        f'style="--share:{share:.3f}">{share:.0%}</button></td>'
    )


def save_arrays(session: Session, selection: Selection) -> Path:
    """Write the photo's maps and gates to an .npz file."""
    photo = session.required_photo(selection)
    with download.new_file(f"{download.file_stem(photo.name)}-maps.npz") as path:
        np.savez_compressed(path, **stage_arrays(photo.prediction))  # type: ignore[arg-type]  # none is its option
    return path
