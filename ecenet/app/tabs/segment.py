"""The Segment tab: the masks of all stages over the photo, and the classes of each pixel.

All stages are sent at once. `ecenet/app/static/segment/segment.js` selects what is shown in the browser, without the
server.
"""

import base64
import json
from collections.abc import Sequence

import gradio as gr
import numpy as np

from ecenet.app.state.events import EACH, Subscription
from ecenet.app.state.select_events import choose_pixel, choose_row, choose_stage
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.static_files import STATIC, read_static
from ecenet.app.widgets.markup import color_swatch, data_uri, empty_state, escape
from ecenet.app.widgets.pictures import figure
from ecenet.app.widgets.pixel_planes import SMALL_SIDE
from ecenet.app.widgets.props import send_props
from ecenet.data.images import thumbnail
from ecenet.inference.overlay import heat_colors, heat_gradient
from ecenet.inference.prediction import Prediction, StagePrediction, stage_title
from ecenet.inference.unsure import MOSTLY, unsure_share

FIRST_SIGHT = STATIC / "first-sight.jpg"
"""A photo of a cat and its masks at three stages, shown before the first photo is segmented. Made by `make
pictures`."""
SCRIPTS = (
    "page/stage_moves.js",
    *(f"segment/{name}.js" for name in ("planes", "region_names", "least_confidence", "legend", "segment")),
)
PICTURE = "\n".join(read_static(name) for name in SCRIPTS)
MODES = ["Classes", "Confidence", "Entropy", "Changed"]
HOW_TO = (
    "The photo under its mask. Point at a pixel to read its classes, click to select it. Keyboard: arrow keys move a "
    "crosshair by one cell of the stage's grid, with Shift by one pixel; Enter selects the pixel."
)


SEARCH = """
<input type="search" class="ece-find" placeholder="Find a class" aria-label="Find a class in the legend" hidden>
<p class="ece-note ece-none" role="status" hidden>No class of this stage matches.</p>
<p class="ece-note ece-left" role="status" hidden></p>"""


def build(session: gr.State, selection: gr.State, *, stage_names: Sequence[str]) -> list[Subscription]:
    """Lay out the tab."""
    # Hidden; the visible buttons are the pictures of the filmstrip, which set it.
    stage = gr.Radio(
        [(stage_title(name), name) for name in stage_names], value="final", visible="hidden", elem_id="stage-picker"
    )
    with gr.Row(elem_id="mask-tools"):
        mode = gr.Radio(
            [(title, title.lower()) for title in MODES],
            value="classes",
            label="Show",
            elem_id="mask-mode",
            min_width=300,
        )
        with gr.Row(elem_id="mask-marks"):
            names = gr.Checkbox(True, label="Names", elem_id="mask-names", min_width=90)
            unsure = gr.Checkbox(True, label="Unsure", visible=False, elem_id="mask-unsure", min_width=90)
            boundaries = gr.Checkbox(label="Boundaries", elem_id="mask-boundaries", min_width=120)
        with gr.Row(elem_id="mask-sliders"):
            opacity = gr.Slider(0, 1, value=0.6, step=0.05, label="Opacity", elem_id="mask-opacity", min_width=190)
            least = gr.Slider(0, 100, value=0, step=1, label="Least confidence, %", elem_id="mask-least", min_width=190)
    view = gr.HTML(render_masks(None, "final", 0.6), js_on_load=PICTURE, elem_id="segment-view")
    marker = gr.HTML("", visible="hidden", elem_id="segment-marker")
    chosen = gr.HTML("", visible="hidden", elem_id="segment-class")
    send_props(
        view,
        [
            *(control.change for control in (stage, mode, names, unsure, boundaries, marker, chosen)),
            opacity.input,
            least.input,
        ],
        stage=stage,
        mode=mode,
        names=names,
        unsure=unsure,
        boundaries=boundaries,
        opacity=opacity,
        least=least,
        marker=marker,
        chosen=chosen,
    )
    stage.input(choose_stage, [selection, stage], selection, **EACH)
    view.pixel(choose_pixel, [session, selection], selection, **EACH)
    view.pick(choose_row, [session, selection], selection, **EACH)
    return [
        Subscription(render_controls, [session, selection, stage], [stage, marker, chosen, unsure]),
        Subscription(render, [session, selection, opacity], [view], "photo"),
    ]


def render_controls(session: Session, selection: Selection, picked: str) -> tuple[gr.Radio, str, str, gr.Checkbox]:
    """Return the stages with the selected one, the selected pixel as `x,y`, the index of the selected class, and the
    checkbox for unsure pixels, which is visible if the weights define a threshold for them."""
    stage, photo = session.stage(selection), session.photo(selection)
    choices = [(stage_title(name), name) for name in session.stage_names]
    # Without a value if it is unchanged: the visitor may have picked another one meanwhile.
    stages = gr.Radio(choices) if picked == stage else gr.Radio(choices, value=stage)
    has_unsure = photo is not None and photo.prediction.unsure_below is not None
    return stages, _marked_place(photo, selection), _chosen_class(photo, selection), gr.Checkbox(visible=has_unsure)


def _chosen_class(photo: Photo | None, selection: Selection) -> str:
    if photo is None or selection.class_name not in photo.prediction.class_names:
        return ""
    return str(photo.prediction.class_names.index(selection.class_name))


def _marked_place(photo: Photo | None, selection: Selection) -> str:
    if photo is None or selection.pixel is None:
        return ""
    x, y = selection.pixel
    width, height = photo.prediction.image.size
    return f"{x},{y}" if x < width and y < height else ""


def render(session: Session, selection: Selection, opacity: float) -> str:
    """Draw the selected photo with the masks of all stages."""
    return render_masks(session.photo(selection), session.stage(selection), opacity)


def render_masks(photo: Photo | None, stage: str, opacity: float) -> str:
    """Return the HTML of the photo with a mask and a legend for each stage; only those of `stage` are visible."""
    if photo is None:
        return empty_state("Drop or paste a photo, or choose an example, to see its masks.") + _first_sight()
    prediction = photo.prediction
    masks = "".join(_mask(photo, item, shown=name == stage) for name, item in prediction.stages.items())
    unsure = unsure_share(prediction)
    legends = "".join(
        _legend(prediction, item, unsure=unsure, shown=name == stage) for name, item in prediction.stages.items()
    )
    thumb = data_uri(thumbnail(prediction.image, max_side=SMALL_SIDE), file_format="JPEG")
    frames = "".join(
        _frame(photo, item, thumb=thumb, pressed=name == stage) for name, item in prediction.stages.items()
    )
    width, height = prediction.image.size
    colors = [f"rgb({red},{green},{blue})" for red, green, blue in prediction.class_colors]
    classes = escape(json.dumps(list(zip(prediction.class_names, colors, strict=True))))
    below = prediction.unsure_below
    percent = "null" if below is None else f"{100 * below:g}"
    return f"""{_doubt(prediction, unsure=unsure)}
<div class="ece-segment" style="--photo-ratio:{width / height:.4f}; --mask-opacity:{opacity}">
  <div class="ece-picture">
    <div class="ece-stack ece-photo" tabindex="0" role="application" aria-label="{escape(HOW_TO)}"
      data-mode="classes" data-size="[{width},{height}]" data-unsure-below="{percent}" data-classes="{classes}">
      <img src="{data_uri(prediction.image, file_format="JPEG")}" alt="{escape(photo.name)}, the photo">
      {masks}
      <canvas class="ece-paint" width="1" height="1"></canvas>
      <canvas class="ece-hatch" width="1" height="1"></canvas>
      <canvas class="ece-faded" width="1" height="1"></canvas>
      <canvas class="ece-lines" width="1" height="1"></canvas>
      <div class="ece-names" aria-hidden="true"></div>
      <span class="ece-marker" hidden></span>
      <span class="ece-cross" hidden></span>
    </div>
    <div class="ece-tip" role="status" aria-live="off" hidden></div>
    {_scales()}
  </div>
  <div class="ece-side">{SEARCH}<div class="ece-legends">{legends}</div><p class="ece-note">{_note(photo)}</p></div>
  <div class="ece-film" role="group" aria-label="Stage, coarse to fine">{frames}</div>
</div>"""


def _first_sight() -> str:
    source = f"data:image/jpeg;base64,{base64.b64encode(FIRST_SIGHT.read_bytes()).decode()}"
    caption = "A photo of a cat and its masks: Coarse (ECE), Stage 3, Final."
    return figure(source, alt="A photo of a cat and its masks at three stages", caption=caption)


def _scales() -> str:
    """Return the colour scale of each mode; the script reads its colours from here."""
    gradient = heat_gradient()
    bar = f'<div data-gradient="{gradient}" style="background:{gradient}"></div>'
    same, changed = (color_swatch(color) for color in heat_colors(np.array([0, 1]), low=0, high=1).tolist())
    return f"""
<div class="ece-scale" data-scale="confidence" hidden>
  <span>0 %</span>{bar}<span>100 %</span><span>probability of the predicted class</span>
</div>
<div class="ece-scale" data-scale="entropy" hidden>
  <span>0</span>{bar}<span>1</span><span>entropy: 0 = certain, 1 = all classes equally likely</span>
</div>
<div class="ece-scale" data-scale="changed" hidden>
  <span>{changed}changed</span><span>{same}same</span><span class="ece-change"></span>
</div>"""


def _mask(photo: Photo, stage: StagePrediction, *, shown: bool) -> str:
    names, pictures = photo.prediction.class_names, photo.pictures[stage.name]
    found = ", ".join(f"{names[k]} {stage.area[k]:.0%}" for k in stage.present(min_area=0.005))
    alt = escape(f"{stage_title(stage.name)} mask: {found}")
    hidden = "" if shown else " hidden"
    rows, columns = stage.mask_logits.shape[1:]
    return f"""
<img class="ece-mask" data-stage="{stage.name}" data-title="{stage_title(stage.name)}" data-grid="[{columns},{rows}]"
  data-planes="{pictures.planes}" src="{pictures.mask}" alt="{alt}"{hidden}>"""


def _frame(photo: Photo, stage: StagePrediction, *, thumb: str, pressed: bool) -> str:
    """Return one picture of the filmstrip, a button that selects its stage."""
    return f"""
<button type="button" class="ece-frame" data-frame="{stage.name}" aria-pressed="{str(pressed).lower()}">
  <span class="ece-stack"><img src="{thumb}" alt=""><img class="ece-mask"
    src="{photo.pictures[stage.name].small_mask}" alt=""></span>
  {stage_title(stage.name)}<small>{photo.prediction.agreement(stage.name):.0%} as final</small>
</button>"""


def _doubt(prediction: Prediction, *, unsure: float) -> str:
    """Return a warning if more than the share `MOSTLY` of the photo is unsure, or ""."""
    if unsure <= MOSTLY:
        return ""
    known = len(prediction.class_names)
    return (
        f'<p class="ece-sentence">The network is unsure about {unsure:.0%} of this photo, which may show none of the '
        f"{known} classes that it knows.</p>"
    )


def _legend(prediction: Prediction, stage: StagePrediction, *, unsure: float, shown: bool) -> str:
    rows = "".join(
        f'<tr data-class="{k}"><td>'
        f"{_class_button(color_swatch(prediction.class_colors[k]) + escape(prediction.class_names[k]))}</td>"
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
  <tbody>{rows}</tbody>{_unsure_row(prediction, unsure=unsure) if stage.name == "final" else ""}
</table>"""


def _class_button(content: str) -> str:
    return f'<button type="button" class="ece-class" aria-pressed="false">{content}</button>'


def _unsure_row(prediction: Prediction, *, unsure: float) -> str:
    """Return the row of unsure pixels, which are also part of the areas of their classes."""
    if prediction.unsure_below is None:
        return ""
    label = _class_button('<span class="ece-swatch ece-hatched"></span>unsure')
    return (
        f"<tfoot><tr data-doubtful><td>{label}</td><td>{unsure:.1%}</td>"
        f"<td>&lt; {100 * prediction.unsure_below:g}%</td></tr></tfoot>"
    )


def _note(photo: Photo) -> str:
    prediction = photo.prediction
    return f"{escape(photo.name)}: {prediction.note}, predicted in {prediction.seconds * 1000:.0f} ms"
