"""Segment: the masks of every stage over the photo. All stages are sent at once, so that switching asks no server."""

from collections.abc import Sequence
from dataclasses import replace

import gradio as gr
from PIL import Image

from ecenet.images import thumbnail
from ecenet.overlay import indexed_mask
from ecenet.prediction import Prediction, StagePrediction, stage_title
from ecenet.ui.html import color_swatch, data_uri, empty_state, escape
from ecenet.ui.selection import Selection
from ecenet.ui.session import Photo, Session
from ecenet.ui.view import View

SHOW_STAGE = """(stage) => {
  const view = document.querySelector('#segment-view');
  view.querySelectorAll('[data-stage]').forEach(e => { e.hidden = e.dataset.stage !== stage });
  view.querySelectorAll('[data-frame]').forEach(e => e.setAttribute('aria-pressed', e.dataset.frame === stage));
}"""
PICK_STAGE = "document.querySelectorAll('#stage-picker input')[{number}].click()"
SET_OPACITY = """(opacity) =>
    document.querySelector('#segment-view .ece-segment')?.style.setProperty('--mask-opacity', opacity)"""


def build(session: gr.State, selection: gr.State, *, stage_names: Sequence[str]) -> list[View]:
    """Lay out the tab."""
    gr.Markdown("How the prediction grows from the coarse mask to the final one. Colours mean the same at every stage.")
    with gr.Row():
        stage = gr.Radio(
            [(stage_title(name), name) for name in stage_names],
            value="final",
            label="Stage, coarse to fine",
            elem_id="stage-picker",
            scale=3,
            min_width=300,
        )
        opacity = gr.Slider(
            0, 1, value=0.6, step=0.05, label="Mask opacity", elem_id="mask-opacity", scale=1, min_width=220
        )
    view = gr.HTML(render_masks(None, "final", 0.6), elem_id="segment-view")
    stage.change(None, stage, None, js=SHOW_STAGE)
    opacity.input(None, opacity, None, js=SET_OPACITY)
    stage.input(
        choose_stage,
        [selection, stage],
        selection,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    return [
        View(render_picker, [session, selection, stage], [stage]),
        View(render, [session, selection, opacity], [view], "photo"),
    ]


def choose_stage(selection: Selection, stage: str) -> Selection:
    return replace(selection, stage=stage)


def render_picker(session: Session, selection: Selection, picked: str) -> gr.Radio:
    """The model's stages, and the selected one."""
    stage = session.stage(selection)
    choices = [(stage_title(name), name) for name in session.stage_names]
    # Without a value where nothing changes: another may have been picked while this was drawn.
    return gr.Radio(choices) if picked == stage else gr.Radio(choices, value=stage)


def render(session: Session, selection: Selection, opacity: float) -> str:
    """The photo with the masks of all stages."""
    return render_masks(session.photo(selection), session.stage(selection), opacity)


def render_masks(photo: Photo | None, stage: str, opacity: float) -> str:
    """Photo, one mask a stage (only the chosen one visible) and their legends."""
    if photo is None:
        return empty_state("Drop or paste a photo, or pick an example: its masks appear here.")
    prediction = photo.prediction
    masks = "".join(_mask(prediction, item, shown=name == stage) for name, item in prediction.stages.items())
    legends = "".join(_legend(prediction, item, shown=name == stage) for name, item in prediction.stages.items())
    thumb = data_uri(thumbnail(prediction.image, max_side=160), file_format="JPEG")
    frames = "".join(
        _frame(prediction, item, number=number, thumb=thumb, pressed=name == stage)
        for number, (name, item) in enumerate(prediction.stages.items())
    )
    width, height = prediction.image.size
    return f"""
<div class="ece-segment" style="--photo-ratio:{width / height:.4f}; --mask-opacity:{opacity}">
  <div class="ece-stack">
    <img src="{data_uri(prediction.image, file_format="JPEG")}" alt="{escape(photo.name)}, the photo">
    {masks}
  </div>
  <div class="ece-side">{legends}<p class="ece-note">{_note(photo)}</p></div>
  <div class="ece-film">{frames}</div>
</div>"""


def _mask(prediction: Prediction, stage: StagePrediction, *, shown: bool) -> str:
    source = data_uri(indexed_mask(stage.label_map, prediction.class_colors), file_format="PNG")
    found = ", ".join(f"{prediction.class_names[k]} {stage.area[k]:.0%}" for k in stage.present(min_area=0.005))
    alt = escape(f"{stage_title(stage.name)} mask: {found}")
    hidden = "" if shown else " hidden"
    return f'<img class="ece-mask" data-stage="{stage.name}" src="{source}" alt="{alt}"{hidden}>'


def _frame(prediction: Prediction, stage: StagePrediction, *, number: int, thumb: str, pressed: bool) -> str:
    """One picture of the filmstrip, which is also a button for its stage."""
    small = indexed_mask(stage.label_map, prediction.class_colors)
    small.thumbnail((160, 160), Image.Resampling.NEAREST)
    return f"""
<button type="button" class="ece-frame" data-frame="{stage.name}" aria-pressed="{str(pressed).lower()}"
  onclick="{PICK_STAGE.format(number=number)}">
  <span class="ece-stack"><img src="{thumb}" alt=""><img class="ece-mask" src="{data_uri(small, file_format="PNG")}"
    alt=""></span>
  {stage_title(stage.name)}<small>{prediction.agreement(stage.name):.0%} as final</small>
</button>"""


def _legend(prediction: Prediction, stage: StagePrediction, *, shown: bool) -> str:
    rows = "".join(
        f"<tr><td>{color_swatch(prediction.class_colors[k])}{escape(prediction.class_names[k])}</td>"
        f"<td>{stage.area[k]:.1%}</td><td>{stage.mean_confidence[k]:.0%}</td></tr>"
        for k in stage.present()
    )
    caption = stage_title(stage.name)
    if stage.name != "final":
        caption += f" agrees with the final mask on {prediction.agreement(stage.name):.1%} of the pixels"
    return f"""
<table class="ece-legend" data-stage="{stage.name}"{"" if shown else " hidden"}>
  <caption>{caption}</caption>
  <thead><tr><th>Class</th><th>Area</th><th>Confidence</th></tr></thead>
  <tbody>{rows}</tbody>
</table>"""


def _note(photo: Photo) -> str:
    prediction = photo.prediction
    return f"{escape(photo.name)}: {prediction.note}, explained in {prediction.seconds * 1000:.0f} ms"
