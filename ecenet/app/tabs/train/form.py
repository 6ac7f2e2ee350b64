"""The form of a run in three steps, data, start and length, and the request that it describes."""

from typing import Any, NamedTuple, get_args

import gradio as gr

from ecenet.app.state.events import LATEST
from ecenet.app.widgets.data_fields import data_fields
from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.inference.weights import shipped_weights
from ecenet.training.jobs.form import Field, RunRequest, about
from ecenet.training.presets import RECIPES, find_recipe

NO_PRESET = "none"
NO_START = "none"
MINUTES = 10
"""Default length: enough for training from the included weights to find the classes of a small data set."""
FIELDS = get_args(Field)


class Form(NamedTuple):
    """The components of the form."""

    inputs: list[Any]
    """In the order of `run_request`."""
    name: gr.Textbox
    data: gr.Textbox
    layout: gr.Dropdown
    zipped: gr.File
    check: gr.Button
    found: gr.HTML
    """A summary of the data."""
    minutes: gr.Slider
    measure: gr.Button
    length: gr.HTML
    """The estimated duration."""
    start: gr.Button
    errors: list[gr.HTML]
    """Error messages below the fields, in the order of `FIELDS`."""


def build(*, megabytes: int) -> Form:
    """Lay out the steps.

    Args:
        megabytes: size limit of uploaded files.
    """
    errors: dict[Field, gr.HTML] = {}
    with gr.Column(elem_classes="ece-step"):
        gr.Markdown("## 1. Your labelled photos")
        zipped = gr.File(
            label=f"A .zip file, up to {megabytes} MB",
            file_types=[".zip"],
            type="filepath",
            height=110,
            elem_id="run-zip",
        )
        data, layout = data_fields("Or a folder", elem_id="run", folder_title="detect automatically")
        check = gr.Button("Check the data", elem_id="check-data")
        errors["data"] = _error("data")
        found = gr.HTML(visible=False, elem_id="run-data-found")
    with gr.Column(elem_classes="ece-step"):
        gr.Markdown("## 2. Start from")
        starts = sorted(shipped_weights(), key=lambda weights: weights != DEFAULT_WEIGHTS)
        start_from = gr.Dropdown(
            [*starts, ("none: download a pretrained backbone", NO_START)],
            value=starts[0] if starts else NO_START,
            label="Start from",
            info="Trained weights learn new classes in minutes",
            filterable=False,
            interactive=True,
            elem_id="run-start-from",
        )
        errors["start"] = _error("start")
    with gr.Column(elem_classes="ece-step"):
        gr.Markdown("## 3. How long")
        minutes = gr.Slider(
            2,
            240,
            MINUTES,
            step=1,
            label="Minutes on this machine",
            buttons=[],
            interactive=True,
            elem_id="run-minutes",
        )
        measure = gr.Button("Measure ten steps", size="sm", elem_id="measure-steps")
        length = gr.HTML(visible=False, elem_id="run-length")
        errors["length"] = _error("length")
        preset, about_preset, backbone, numbers, more = _advanced()
        errors["more"] = _error("more")
        name = gr.Textbox(label="Run name", placeholder="mine-1", max_length=64, max_lines=1, elem_id="run-name")
        errors["name"] = _error("name")
        start = gr.Button("Start", variant="primary", elem_id="start-run")
    preset.input(describe_preset, preset, [about_preset, layout, start_from], **LATEST)
    preset.input(lambda chosen: gr.Slider(visible=chosen == NO_PRESET), preset, minutes, **LATEST)
    return Form(
        inputs=[name, data, preset, layout, start_from, backbone, *numbers, more, minutes],
        name=name,
        data=data,
        layout=layout,
        zipped=zipped,
        check=check,
        found=found,
        minutes=minutes,
        measure=measure,
        length=length,
        start=start,
        errors=[errors[field] for field in FIELDS],
    )


def _error(field: Field) -> gr.HTML:
    return gr.HTML(visible=False, elem_id=f"run-{field}-error")


def _advanced() -> tuple[gr.Dropdown, gr.Markdown, gr.Textbox, list[gr.Textbox], gr.Textbox]:
    presets = [("none: the defaults of train", NO_PRESET), *((recipe.name, recipe.name) for recipe in RECIPES)]
    with gr.Accordion("Advanced (empty fields use the preset)", open=False, elem_id="run-advanced"):
        preset = gr.Dropdown(
            presets, value=NO_PRESET, label="Preset", filterable=False, interactive=True, elem_id="run-preset"
        )
        about_preset = gr.Markdown(visible=False, elem_id="preset-note")
        backbone = gr.Textbox(
            label="Backbone weights",
            placeholder="backbone.safetensors",
            info="A file to start from instead",
            elem_id="run-backbone",
        )
        with gr.Row():
            # Not gr.Number: an empty one arrives as 0.
            numbers = [
                gr.Textbox(label=label, placeholder=empty, max_length=9, min_width=110, elem_id=f"run-{key}")
                for label, key, empty in (
                    ("Steps", "steps", "by minutes"),
                    ("Batch", "batch", "preset"),
                    ("Crop", "crop", "preset"),
                )
            ]
        more = gr.Textbox(
            label="More options", placeholder="--lr 5e-4 --seed 1", info="See train --help", elem_id="run-more"
        )
    return preset, about_preset, backbone, numbers, more


def run_request(
    name: str,
    data: str,
    preset: str | None,
    layout: Layout,
    start_from: str,
    backbone: str | None,
    steps: str | None,
    batch_size: str | None,
    crop_size: str | None,
    more: str | None,
    minutes: float | None = None,
) -> RunRequest:
    """Convert the form's values to a request. Browsers send None for fields in an accordion that was never opened.

    Raises:
        FieldError: a field is not a number.
    """
    chosen = None if preset in (NO_PRESET, None) else preset
    with about("more"):
        return RunRequest(
            name,
            data,
            layout,
            chosen,
            start_from="" if start_from == NO_START or (backbone or "").strip() else start_from,
            backbone_weights=backbone or "",
            steps=_number(steps, "Steps"),
            minutes=minutes,
            batch_size=_number(batch_size, "Batch"),
            crop_size=_number(crop_size, "Crop"),
            more=more or "",
        )


def _number(text: str | None, field: str) -> int | None:
    """Parse a positive integer; returns None for an empty field."""
    text = (text or "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UserError(
            "invalid-value",
            f"Expected {field} to be an integer above 0, got {text[:20]!r}; correct or clear the field.",
        )
    return int(text)


def describe_preset(name: str) -> tuple[gr.Markdown, str, str]:
    """Return a description of the preset, its data layout, and what to start from. Presets start from a backbone."""
    if name == NO_PRESET:
        return gr.Markdown(visible=False), "folder", DEFAULT_WEIGHTS
    recipe = find_recipe(name)
    text = f"{recipe.summary}. mIoU: {recipe.miou}. Run time: {recipe.run_time}. Needs `{recipe.needs}`"
    return gr.Markdown(text, visible=True), str(recipe.options.get("layout", "folder")), NO_START
