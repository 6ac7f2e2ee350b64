"""The Pixel tab: the classes of one pixel over the stages, the stage that decided each pixel, and the flow of
classes."""

from itertools import pairwise

import gradio as gr
import numpy as np

from ecenet.analysis.diagnostics.pixel_probe import PixelProbe, probe_pixel
from ecenet.analysis.diagnostics.stage_flow import decided_at, decided_shares, transitions
from ecenet.analysis.plots import probe as figures
from ecenet.app.state.events import EACH, LATEST, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import choose_pixel
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.static_files import read_static
from ecenet.app.tabs import ground_truth, match
from ecenet.app.widgets.markup import color_swatch, data_uri, empty_state, escape
from ecenet.data.images import thumbnail
from ecenet.inference.overlay import overlay
from ecenet.inference.prediction import Prediction, stage_title
from ecenet.inference.unsure import counts_as_unsure

MAX_MAP_SIDE = 640
"""Longest side in pixels of the map of deciding stages; clicks are converted to pixels of the photo."""
NO_PIXEL = "Click on the photo in the Segment tab, or on the map here, to see how a pixel got its class."
FLOW_NOTE = (
    "{changed:.1%} of the pixels change their class at some stage. Each column is a stage and each block a class. "
    f"Strong bands are pixels that change, faint bands pixels that stay. Of the {figures.MAX_FLOW_CLASSES} largest "
    "classes those with at least 0.5 % of the drawn pixels at some stage are shown; the rest are combined as “others”."
)
NO_CHANGE = "No pixel changes its class: all stages have the same mask as the coarse one."


def build(
    session: gr.State, selection: gr.State, *, registry: ModelRegistry, stage_names: list[str]
) -> list[Subscription]:
    """Lay out the tab."""
    gr.Markdown(
        "Every stage predicts a mask. A pixel is **decided** at the first stage that gives it its final class, "
        "provided that no later stage changes it."
    )
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            stages = gr.HTML(render_map(None), elem_id="decided-map", js_on_load=read_static("decided.js"))
            # The cross is set by a style sheet of its own, so that a click does not send the picture again.
            cross = gr.HTML(elem_id="pixel-cross")
            sentence = gr.HTML(visible=False, elem_id="pixel-sentence")
        with gr.Column(scale=1, min_width=300):
            hint = gr.HTML(empty_state(NO_PIXEL), elem_id="pixel-hint")
            lines = gr.Plot(show_label=False, visible=False, elem_id="probability-plot")
            cells = gr.Plot(show_label=False, visible=False, elem_id="pixel-similarity-plot")
    found = match.build(session, selection, stages, registry=registry, stage_names=stage_names)
    flow_note = gr.Markdown(visible=False, elem_id="flow-note")
    whole = gr.Checkbox(
        label="Include pixels that never change", visible=False, container=False, elem_id="flow-whole", interactive=True
    )
    flow = gr.Plot(show_label=False, visible=False, elem_id="flow-plot")
    scores = ground_truth.build(session, selection)

    both = [session, selection]
    stages.click(choose_pixel, both, selection, **EACH)
    flows = Subscription(render_flow, [*both, whole], [flow_note, whole, flow], "photo")
    whole.input(flows.render, flows.inputs, flows.outputs, **LATEST)
    return [
        Subscription(render_decided, both, [stages], "photo"),
        Subscription(render_pixel, both, [cross, hint, sentence, lines, cells]),
        flows,
        found,
        scores,
    ]


def render_decided(session: Session, selection: Selection) -> str:
    """Draw the map of deciding stages of the selected photo."""
    return render_map(session.photo(selection))


def render_flow(session: Session, selection: Selection, whole: bool) -> tuple[gr.Markdown, gr.Checkbox, gr.Plot]:
    """Draw the flow of classes through the stages.

    Args:
        whole: include the pixels that no stage changes. They are the majority, and make the other bands thin.
    """
    photo = session.photo(selection)
    if photo is None:
        return gr.Markdown(visible=False), gr.Checkbox(visible=False), gr.Plot(None, visible=False)
    prediction = photo.prediction
    changed = decided_at(prediction) > 0
    if not (whole or changed.any()):
        return gr.Markdown(NO_CHANGE, visible=True), gr.Checkbox(visible=True), gr.Plot(None, visible=False)
    flow = figures.class_flow(
        transitions(prediction, within=None if whole else changed),
        stages=list(prediction.stages),
        pixels=changed.size,
        class_names=prediction.class_names,
        class_colors=prediction.class_colors,
    )
    note = FLOW_NOTE.format(changed=changed.mean())
    return gr.Markdown(note, visible=True), gr.Checkbox(visible=True), gr.Plot(flow, visible=True)


def render_map(photo: Photo | None) -> str:
    """Draw the stage that decided each pixel over the faded photo, with the share of pixels that each stage decided."""
    if photo is None:
        return empty_state("Add a photo to see which stage decided each of its pixels.")
    prediction = photo.prediction
    decided = decided_at(prediction)
    colors = figures.stage_colors(len(prediction.stages))
    picture = overlay(prediction.image.convert("L").convert("RGB"), decided, colors, opacity=0.65)
    shares = decided_shares(decided, stages=len(colors))
    legend = "".join(
        f"<li>{color_swatch(color)}{stage_title(name)} <b>{share:.1%}</b></li>"
        for color, name, share in zip(colors, prediction.stages, shares, strict=True)
    )
    width, height = prediction.image.size
    source = data_uri(thumbnail(picture, max_side=MAX_MAP_SIDE), file_format="JPEG")
    return f"""
<div class="ece-decided" data-width="{width}" data-height="{height}" style="--photo-ratio:{width / height:.4f}">
  <img src="{source}" alt="{escape(f"{photo.name}: the stage that decided each pixel")}"><span></span>
</div>
<ul class="ece-stages">{legend}</ul>
<p class="ece-note">Share of pixels that each stage decided. Click on the picture to select a pixel; drag a box to find
it in your other photos.</p>"""


def render_pixel(session: Session, selection: Selection) -> tuple[str, gr.HTML, gr.HTML, gr.Plot, gr.Plot]:
    """Draw the cross on the map, the sentence, the probabilities and the similarities of the selected pixel."""
    photo, pixel = session.photo(selection), selection.pixel
    if photo is None or pixel is None:
        hidden = gr.Plot(None, visible=False)
        return "", gr.HTML(visible=True), gr.HTML(visible=False), hidden, hidden
    prediction = photo.prediction
    width, height = prediction.image.size
    # A pixel selected in a photo that was just removed may be outside this one.
    x, y = min(pixel[0], width - 1), min(pixel[1], height - 1)
    probe = probe_pixel(prediction, x, y)
    cross = (
        f"<style>.ece-decided{{--pixel-x:{(x + 0.5) / width:.3%};--pixel-y:{(y + 0.5) / height:.3%};"
        "--pixel-cross:block}</style>"
    )
    sentence = (
        f'<p class="ece-note">Pixel ({x}, {y}) of {escape(photo.name)}</p>'
        f'<p class="ece-sentence">{escape(blame_sentence(prediction, probe))}</p>'
    )
    lines = figures.probability_lines(probe, class_names=prediction.class_names, class_colors=prediction.class_colors)
    cells = figures.similarity_cells(probe, class_names=prediction.class_names)
    return (
        cross,
        gr.HTML(visible=False),
        gr.HTML(sentence, visible=True),
        gr.Plot(lines, visible=True),
        gr.Plot(cells, visible=True),
    )


def blame_sentence(prediction: Prediction, probe: PixelProbe) -> str:
    """Describe which stage decided the pixel, its class before, and what that stage did to the class embedding. If the
    final class is unsure, the text starts with that."""
    names = [prediction.class_names[k] for k in probe.classes]
    confidence = [row[k] for row, k in zip(probe.probabilities, probe.classes, strict=True)]
    number, stage = probe.decided, probe.stages[probe.decided]
    title, final = stage_title(stage), names[-1]
    unsure = counts_as_unsure(np.array(confidence[-1]), below=prediction.unsure_below)
    doubt = f"Unsure: best guess {final}, {confidence[-1]:.0%}. " if unsure else ""
    if number == 0:
        text = f"Decided at {title}: {final} ({confidence[0]:.0%}) from the start, unchanged by later stages."
        return doubt + text
    text = (
        f"{doubt}Decided at {title}: {names[number - 1]} ({confidence[number - 1]:.0%}) before, "
        f"{final} ({confidence[number]:.0%}) from then on."
    )
    if stage in probe.gate:
        kept = probe.gate[stage][probe.classes[-1]]
        if probe.gate_adds:
            text += f" Its gate added {kept:.0%} of the mask's evidence to the embedding of {final}."
        else:
            text += f" Its gate replaced {1 - kept:.0%} of the embedding of {final} by features under the mask."
    if stage == "final":
        text += " The final stage combines the results of all stages."
    changes = [names[0], *(after for before, after in pairwise(names) if after != before)]
    return text + (f" All changes: {' → '.join(changes)}." if len(changes) > 2 else "")
