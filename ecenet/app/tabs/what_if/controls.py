"""The controls of the What if tab and their choices."""

from typing import Any, Literal, NamedTuple

import gradio as gr

from ecenet.analysis.interventions.mask_edits import Action
from ecenet.analysis.interventions.painting import MAX_PROTOTYPES, Pooling
from ecenet.app.state.experiment import Experiment
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection, shown_class
from ecenet.app.state.session import Session
from ecenet.app.widgets.class_lists import CLASS_HELP, class_choices
from ecenet.inference.prediction import stage_title
from ecenet.model.edit_checks import HeadParts

METHODS: list[tuple[str, Pooling | Literal["backbone"]]] = [
    ("Pyramid embedding", "pyramid"),
    ("Mean embedding", "mean"),
    ("Several embeddings", "prototypes"),
    ("Backbone features", "backbone"),
]
METHODS_HELP = (
    "Embeddings compete with the other classes in the head. Backbone features find more of objects that the weights "
    "were not trained on: every pixel whose features are closer to the painted region than to the rest of the painted "
    "photos gets the class. Expect false positives in every photo."
)
EXPLICIT_ONLY = (
    "These weights compute their class embeddings from masks and have no learned ones; to compare both, train a run "
    "with <code>--embeddings learned</code> and open it in Compare."
)
LEARNED_ONLY = (
    "These weights have learned class embeddings only, so a region cannot be turned into an embedding and there is no "
    "coarse mask to change."
)
"""Why embeddings cannot be switched: weights are trained with one kind."""

ACTIONS: list[tuple[str, Action]] = [
    ("Paint as the class", "paint"),
    ("Erase the class", "erase"),
    ("Swap two classes everywhere", "swap"),
    ("Replace by the ground truth", "replace"),
]


GATE_KEEPS = "1 keeps the embeddings, 0 replaces them by the mask's evidence."
GATE_ADDS = "1 adds all of the mask's evidence to the embeddings, 0 adds none."
"""Effect of a forced gate in our updater, and in that of the authors' release."""


class Tools(NamedTuple):
    tool: gr.Radio
    radius: gr.Slider
    undo: gr.Button
    clear: gr.Button


class Paint(NamedTuple):
    name: gr.Textbox
    method: gr.Radio
    prototypes: gr.Slider
    make: gr.Button
    without: gr.Dropdown
    upload: gr.UploadButton


class Edit(NamedTuple):
    stage: gr.Radio
    action: gr.Dropdown
    class_name: gr.Dropdown
    other: gr.Dropdown
    change: gr.Button
    forget: gr.Button

    @property
    def choices(self) -> list[Any]:
        return [self.stage, self.class_name, self.other]


class KnockOut(NamedTuple):
    diverse: gr.Checkbox
    attention: gr.CheckboxGroup
    updater: gr.CheckboxGroup
    forced: gr.Checkbox
    gate: gr.Slider
    embeddings: gr.HTML

    @property
    def stages(self) -> list[Any]:
        return [self.attention, self.updater]

    @property
    def switches(self) -> list[Any]:
        """In the order of the arguments of `handlers.knock_out`."""
        return [self.diverse, self.attention, self.updater, self.forced, self.gate]


class Move(NamedTuple):
    source: gr.Dropdown
    class_name: gr.Dropdown
    into: gr.Dropdown
    t: gr.Slider
    apply: gr.Button

    @property
    def choices(self) -> list[Any]:
        return [self.source, self.class_name, self.into]


def tools() -> Tools:
    choices = [("Brush", "brush"), ("Eraser", "erase"), ("Box", "box"), ("Patch of a class", "pick")]
    with gr.Row():
        tool = gr.Radio(choices, value="brush", label="Paint with", elem_id="easel-tool", scale=2, min_width=260)
        radius = gr.Slider(2, 60, value=12, step=1, label="Radius", elem_id="easel-radius", scale=1, min_width=200)
    with gr.Row():
        undo = gr.Button("Undo", size="sm", elem_id="easel-undo", min_width=80)
        clear = gr.Button("Clear", size="sm", elem_id="easel-clear", min_width=80)
    return Tools(tool, radius, undo, clear)


def paint() -> Paint:
    gr.Markdown(
        "The region that you paint, on one or several photos, becomes a class that competes with the others in all "
        "photos. A part of an object may lose to the class of the whole object; exclude that class below."
    )
    name = gr.Textbox("my class", label="Name", max_length=40, max_lines=1, elem_id="class-name")
    method = gr.Radio(METHODS, value="pyramid", label="Method", info=METHODS_HELP, elem_id="class-method")
    prototypes = gr.Slider(
        1, MAX_PROTOTYPES, value=3, step=1, label="Prototypes", info="Maximum number for “Several embeddings”."
    )
    make = gr.Button("Make it a class", variant="primary", elem_id="make-class")
    label = f"Exclude classes ({CLASS_HELP})"
    without = gr.Dropdown([], multiselect=True, label=label, interactive=True, elem_id="without-classes")
    upload = gr.UploadButton(
        "Open a saved class", file_types=[".safetensors"], type="filepath", size="sm", elem_id="open-class"
    )
    return Paint(name, method, prototypes, make, without, upload)


def edit() -> Edit:
    gr.Markdown(
        "Change the mask of one stage of this photo. The embeddings are pooled from the new mask, and all later stages "
        "use them. If nothing is painted, “Erase the class” erases it in the whole photo."
    )
    stage = gr.Radio([("Coarse (ECE)", "ece")], value="ece", label="Stage", interactive=True, elem_id="edit-stage")
    action = gr.Dropdown(ACTIONS, value="paint", label="Action", filterable=False, elem_id="edit-action")
    class_name = gr.Dropdown([], label="Class", interactive=True, elem_id="edit-class")
    other = gr.Dropdown([], label="Swap with", interactive=True, elem_id="edit-other")
    change = gr.Button("Change the mask", variant="primary", elem_id="change-mask")
    forget = gr.Button("Discard changed masks", size="sm", elem_id="forget-masks")
    return Edit(stage, action, class_name, other, change, forget)


def knock_out() -> KnockOut:
    gr.Markdown("Switch off parts of the network for all photos. Unchecked parts are off.")
    diverse = gr.Checkbox(True, label="Diverse branch of Feature Reconstruction", elem_id="off-diverse")
    attention = gr.CheckboxGroup([], label="Attention at", interactive=True, elem_id="off-attention")
    updater = gr.CheckboxGroup([], label="Updater at", interactive=True, elem_id="off-updater")
    forced = gr.Checkbox(False, label="Force every gate to", elem_id="gate-forced")
    gate = gr.Slider(
        0,
        1,
        value=1,
        step=0.05,
        label="Gate",
        info=GATE_KEEPS,
        elem_id="gate-value",
    )
    embeddings = gr.HTML(elem_id="off-embeddings")
    return KnockOut(diverse, attention, updater, forced, gate, embeddings)


def transplant() -> Move:
    gr.Markdown("Replace the first embedding of a class in the selected photo by one from another photo.")
    source = gr.Dropdown([], label="From photo", interactive=True, filterable=False, elem_id="move-source")
    class_name = gr.Dropdown([], label="Class to take", interactive=True, elem_id="move-class")
    into = gr.Dropdown([], label="Class to replace", interactive=True, elem_id="move-into")
    t = gr.Slider(
        0, 1, value=1, step=0.05, label="Interpolation", info="0 keeps the embedding, 1 replaces it.", elem_id="move-t"
    )
    apply = gr.Button("Transplant", variant="primary", elem_id="move-apply")
    return Move(source, class_name, into, t, apply)


def render_choices(session: Session, selection: Selection, experiment: Experiment) -> list[Any]:
    """Return the choices of `Paint.without`, `Edit.choices`, `KnockOut.stages` and `Move.choices`."""
    photo = session.photo(selection)
    experiment = experiment.of(session)
    names = class_choices(photo.prediction) if photo is not None else []
    first = shown_class(photo.prediction, selection.class_name) if photo is not None else None
    second = next((name for name in names if name != first), None)
    sau = [(stage_title(name), name) for name in session.stage_names if name not in ("ece", "final")]
    off = experiment.scenario.knock_outs
    sources = [(f"{index + 1}: {one.name}", index) for index, one in enumerate(session.photos)]
    kept = [name for name in experiment.scenario.without if name in names]
    return [
        gr.Dropdown(names, value=kept, multiselect=True),
        gr.Radio([("Coarse (ECE)", "ece"), *sau], value="ece"),
        gr.Dropdown(names, value=first),
        gr.Dropdown(names, value=second),
        gr.CheckboxGroup(sau, value=[name for _, name in sau if name not in off.attention_off]),
        gr.CheckboxGroup(sau, value=[name for _, name in sau if name not in off.updater_off]),
        gr.Dropdown(sources, value=0 if sources else None),
        gr.Dropdown(names, value=first),
        gr.Dropdown(names, value=first),
    ]


def render_parts(session: Session, *, registry: ModelRegistry) -> list[Any]:
    """Show the controls of the parts that the session's model has, and a note on what it lacks. Updates the note, the
    accordions of painting, editing and transplants, and the controls of `KnockOut` except the attention."""
    parts = registry.open(session.model).model.parts
    text = limits(parts)
    return [
        gr.Markdown(text, visible=bool(text)),
        gr.Accordion(visible=parts.new_classes),
        gr.Accordion(visible=parts.explicit or parts.new_classes),
        gr.Accordion(visible=parts.explicit or parts.new_classes),
        gr.Checkbox(visible=parts.reconstruction),
        gr.CheckboxGroup(visible=parts.updater != "off"),
        gr.Checkbox(visible=parts.gated),
        gr.Slider(visible=parts.gated, info=GATE_ADDS if parts.gate_adds else GATE_KEEPS),
        f'<p class="ece-note">{EXPLICIT_ONLY if parts.explicit else LEARNED_ONLY}</p>',
    ]


def limits(parts: HeadParts) -> str:
    """Return a sentence on what cannot be changed in a model, or "" if everything can."""
    if parts.new_classes:
        return ""
    changeable = ["masks", "embeddings"] if parts.explicit else []
    changeable += ["the updater"] if parts.updater != "off" else []
    what = ", ".join([*changeable, "the attention"])
    makes = "" if parts.explicit else " and computes no embeddings from masks"
    return (
        f"These weights are {parts.closed}{makes}, so a painted region cannot become a class. You can change: {what}."
    )
