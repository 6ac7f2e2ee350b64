"""The What if tab: paint a class, change a mask, switch off a part or transplant an embedding, and see the effect."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import EACH, HIDDEN, LATEST, Subscription
from ecenet.app.state.experiment import Experiment
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.app.static_files import read_static
from ecenet.app.tabs.what_if import controls, handlers
from ecenet.app.tabs.what_if.render import render_details, render_result
from ecenet.app.widgets import download
from ecenet.app.widgets.markup import data_uri
from ecenet.app.widgets.props import send_props

CANVAS_JS = read_static("canvas.js")
HOW_TO = (
    "The photo to paint on. Keyboard: arrow keys move a crosshair, Enter paints; with the box tool it sets one corner, "
    "then the other."
)
TINT = (255, 200, 0, 140)
"""Colour of the painted region, RGBA."""


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> list[Subscription]:
    """Lay out the tab."""
    experiment = gr.State(Experiment())
    gr.Markdown(
        "Embeddings are computed from masks, and masks from embeddings. Change either and see the effect: paint on the "
        "photo, then choose an action. Changes apply to this tab only."
    )
    note = gr.Markdown(visible=False, elem_id="what-if-note")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            tools = controls.tools()
            canvas = gr.HTML(
                "", html_template='<div class="ece-canvas"></div>', js_on_load=CANVAS_JS, region="", elem_id="easel"
            )
            result = gr.HTML(elem_id="what-if-result")
        with gr.Column(scale=2, min_width=300):
            with gr.Accordion("Paint a class", elem_id="paint-class") as painting:
                paint = controls.paint()
                save = partial(handlers.save_last, registry=registry)
                download.build("Save the last class", save, [session, experiment], elem_id="save-class")
            with gr.Accordion("Edit a stage", open=False, elem_id="edit-stages") as editing:
                edit = controls.edit()
            with gr.Accordion("Knock out", open=False, elem_id="knock-out"):
                off = controls.knock_out()
            with gr.Accordion("Transplant", open=False, elem_id="move-embedding") as moving:
                moved = controls.transplant()
            reset = gr.Button("Back to the original", size="sm", elem_id="what-if-reset")
    details = gr.HTML(elem_id="what-if-details")

    where = [session, selection, experiment]
    detailed = _with_model(render_details, details, where, registry=registry)
    drawn = _with_model(render_result, result, where, registry=registry, then=detailed)
    canvas_view = Subscription(render_canvas, where, [canvas], "photo")
    region = Subscription(render_region, where, [canvas])
    send_props(canvas, [tools.tool.change, tools.radius.input], tool=tools.tool, radius=tools.radius)
    # One after the other, so that no stroke gets lost: each event reads the experiment that the previous one returned.
    one_queue = {"concurrency_id": "experiment", "concurrency_limit": 1}
    once, latest, each = HIDDEN | one_queue, LATEST | one_queue, EACH | one_queue
    region.after(canvas.stroke(handlers.add_stroke, where, experiment, **each).success)
    region.after(tools.undo.click(handlers.undo_stroke, where, experiment, **each).success)
    region.after(tools.clear.click(handlers.clear_strokes, where, experiment, **each).success)

    def on(
        event: Callable[..., Any], change: Callable[..., Experiment], *inputs: Any, options: dict[str, Any] = once
    ) -> None:
        """Change the experiment by the values of fields, and draw the result."""
        changed = event(show_errors(change), [*where, *inputs], experiment, **options)
        drawn.after(changed.success, show_progress="minimal")

    on(paint.make.click, partial(handlers.make_class, registry=registry), paint.name, paint.method, paint.prototypes)
    on(paint.without.input, handlers.leave_out, paint.without, options=latest)
    on(paint.upload.upload, partial(handlers.open_class, registry=registry), paint.upload, options=latest)
    on(edit.change.click, handlers.change_mask, edit.stage, edit.action, edit.class_name, edit.other)
    on(edit.forget.click, handlers.forget_masks)
    for control in (off.diverse, off.attention, off.updater, off.forced):
        on(control.input, handlers.knock_out, *off.switches, options=latest)
    on(off.gate.release, handlers.knock_out, *off.switches, options=latest)
    move = moved.source, moved.class_name, moved.into, moved.t
    on(moved.apply.click, handlers.move_embedding, *move)
    on(moved.t.release, handlers.move_embedding, *move, options=latest)
    on(reset.click, handlers.start_anew)
    fields = [paint.without, *edit.choices, *off.stages, *moved.choices]
    render_parts = show_errors(partial(controls.render_parts, registry=registry))
    parts = [note, painting, editing, moving, off.diverse, off.updater, off.forced, off.gate, off.embeddings]
    return [
        canvas_view,
        Subscription(controls.render_choices, where, fields, "photo"),
        Subscription(render_parts, [session], parts, "photo"),
        drawn,
    ]


def _with_model(
    render: Callable[..., str],
    output: gr.HTML,
    where: list[Any],
    *,
    registry: ModelRegistry,
    then: Subscription | None = None,
) -> Subscription:
    """Return a subscription that runs the model's head and draws the result."""

    @show_errors
    def draw(session: Session, selection: Selection, experiment: Experiment) -> str:
        return render(experiment, session, selection, predictor=registry.open(session.model))

    return Subscription(draw, where, [output], "stage", runs_model=True, then=then)


def render_canvas(session: Session, selection: Selection, experiment: Experiment) -> gr.HTML:
    """Send the photo and the painted region."""
    photo = session.photo(selection)
    if photo is None:
        return gr.HTML("", region="")
    width, height = photo.prediction.image.size
    address = data_uri(photo.prediction.image, file_format="JPEG")
    about = {"photo": address, "name": photo.name, "width": width, "height": height, "help": HOW_TO}
    return gr.HTML(json.dumps(about), region=region_picture(experiment.of(session).region_on(photo.prediction)))


def render_region(session: Session, selection: Selection, experiment: Experiment) -> gr.HTML:
    """Send the painted region without the photo."""
    photo = session.photo(selection)
    return gr.HTML(region="" if photo is None else region_picture(experiment.of(session).region_on(photo.prediction)))


def region_picture(region: np.ndarray | None) -> str:
    """Encode a region, (H, W) bool, as the data URI of a transparent picture; returns "" without a region."""
    if region is None:
        return ""
    picture = Image.fromarray(region.astype(np.uint8))
    picture.putpalette([*(0, 0, 0, 0), *TINT], rawmode="RGBA")
    return data_uri(picture, file_format="PNG")
