"""The Compare tab: all photos at one stage, and one photo segmented by two models."""

from dataclasses import dataclass
from functools import partial

import gradio as gr

from ecenet.analysis.diagnostics.ground_truth import compare_with_truth
from ecenet.analysis.diagnostics.model_agreement import Agreement, compare_models
from ecenet.app.error_toasts import show_errors
from ecenet.app.sidebar.model_picker import model_entries
from ecenet.app.state.events import EACH, HIDDEN, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import choose_photo
from ecenet.app.state.selection import MIN_AREA, Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.widgets.markup import color_swatch, empty_state, escape, on_click
from ecenet.app.widgets.pictures import changed_photo, difference_legend, figure, masked_photo
from ecenet.data.images import thumbnail
from ecenet.inference.prediction import Prediction, StagePrediction, stage_title

CARD_SIDE, PICTURE_SIDE = 320, 560
"""Longest sides in pixels of the pictures: of the cards, and of the comparison of two models."""
NAMED_CLASSES = 3
NO_OTHER = ("no other model", "")
CLICK = on_click("[data-photo]", "photo", "{index: Number(picked.dataset.photo)}")


@dataclass(frozen=True, eq=False)
class Other:
    """The prediction of another model for a photo."""

    key: str
    """Key of the model in the `ModelRegistry`."""
    names: tuple[str, str]
    """Names of the session's model and of this one."""
    of: Prediction
    """The prediction of the session's model for the same photo."""
    prediction: Prediction


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> list[Subscription]:
    """Lay out the tab."""
    other = gr.State(None)
    gr.Markdown("## Your photos\nAll photos at the selected stage. Click a photo to select it in every tab.")
    grid = gr.HTML(render_photos(Session(), Selection()), js_on_load=CLICK, elem_id="photo-grid")
    gr.Markdown("## Two models\nThe selected photo as segmented by another model. Classes are matched by name.")
    choices = [NO_OTHER, *model_entries(registry)]
    picker = gr.Dropdown(choices, value="", label="Other model", filterable=False, elem_id="other-picker")
    pair = gr.HTML(elem_id="model-pair")

    grid.photo(choose_photo, [session, selection], selection, **EACH)
    picker.focus(lambda key: gr.Dropdown([NO_OTHER, *model_entries(registry)], value=key), picker, picker, **HIDDEN)
    drawn = Subscription(render_pair, [session, selection, other], [pair], "stage")
    found = Subscription(
        show_errors(partial(find_other, registry=registry)),
        [session, selection, picker, other],
        [other],
        "photo",
        runs_model=True,
        then=drawn,
    )
    found.after(picker.input, show_progress="minimal")
    return [Subscription(render_photos, [session, selection], [grid], "stage"), found, drawn]


def render_photos(session: Session, selection: Selection) -> str:
    """Return a card for each photo with its mask at the selected stage and its largest classes. Cards are buttons."""
    if not session.photos:
        return empty_state("Add two or more photos to compare them side by side.")
    shown, stage = session.photo(selection), session.stage(selection)
    cards = "".join(
        _card(photo, index=index, stage=photo.prediction.stages[stage], pressed=photo is shown)
        for index, photo in enumerate(session.photos)
    )
    return f'<p class="ece-note">{stage_title(stage)}</p><div class="ece-grid">{cards}</div>'


def _card(photo: Photo, *, index: int, stage: StagePrediction, pressed: bool) -> str:
    prediction = photo.prediction
    largest = stage.present(min_area=MIN_AREA)[:NAMED_CLASSES]
    small = thumbnail(prediction.image, max_side=CARD_SIDE)
    classes = ", ".join(f"{prediction.class_names[k]} {stage.area[k]:.0%}" for k in largest)
    return f"""
<button type="button" class="ece-card" data-photo="{index}" aria-pressed="{str(pressed).lower()}">
  <img src="{masked_photo(small, stage.label_map, prediction.class_colors)}" alt="{escape(f"{photo.name}: {classes}")}">
  <span>{escape(photo.name)} <small>{escape(classes)}</small></span>
</button>"""


def find_other(
    session: Session, selection: Selection, key: str, other: Other | None, *, registry: ModelRegistry
) -> Other | None:
    """Return the other model's prediction for the selected photo, or None without a photo or a model.

    Raises:
        UserError: the model does not exist or cannot be loaded.
    """
    photo = session.photo(selection)
    if photo is None or not key:
        return None
    if other is not None and other.key == key and other.of is photo.prediction:
        return other
    labels = {known: label for label, known in model_entries(registry)}
    names = (labels.get(session.model, "The session's model"), labels.get(key, key))
    return Other(key, names, photo.prediction, registry.open(key).predict(photo.prediction.image))


def render_pair(session: Session, selection: Selection, other: Other | None) -> str:
    """Return both masks, their differences and the areas of the classes; "" without a prediction of another model."""
    photo = session.photo(selection)
    if photo is None or other is None or other.of is not photo.prediction:
        return ""
    stage = session.stage(selection)
    other_stage = stage if stage in other.prediction.stages else "final"
    agreement = compare_models(photo.prediction, other.prediction, stages=(stage, other_stage))
    mine, theirs = photo.prediction.stages[stage], other.prediction.stages[other_stage]
    small = thumbnail(photo.prediction.image, max_side=PICTURE_SIDE)
    figures = [
        figure(
            masked_photo(small, at_stage.label_map, prediction.class_colors),
            alt=photo.name,
            caption=escape(f"{name}, {stage_title(at_stage.name)}"),
        )
        for prediction, at_stage, name in (
            (photo.prediction, mine, other.names[0]),
            (other.prediction, theirs, other.names[1]),
        )
    ]
    differences = changed_photo(small, ~agreement.same)
    figures.append(figure(differences, alt="differences", caption=difference_legend("different")))
    sentence = f"The models agree on {agreement.share:.1%} of the pixels."
    return f"""
<p class="ece-sentence">{sentence}{_scores(photo, other, stage=stage, other_stage=other_stage)}</p>
<div class="ece-grid">{"".join(figures)}</div>
{_area_table(agreement, names=other.names)}"""


def _scores(photo: Photo, other: Other, *, stage: str, other_stage: str) -> str:
    """Return a sentence with the mIoU of both models, or "" without a ground truth in the classes of both."""
    truth = photo.true_mask
    if truth is None or other.prediction.class_names != photo.prediction.class_names:
        return ""
    values = []
    for prediction, name in ((photo.prediction, stage), (other.prediction, other_stage)):
        scores = compare_with_truth(prediction, truth)
        values.append(100 * scores.mean_iou[scores.stages.index(name)])
    return f" Against the ground truth: mIoU {values[0]:.1f} and {values[1]:.1f}."


def _area_table(agreement: Agreement, *, names: tuple[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{color_swatch(row.color)}{escape(row.name)}</td><td>{_area(row.first)}</td><td>{_area(row.second)}</td></tr>"
        for row in agreement.classes
    )
    return f"""
<table class="ece-legend">
  <thead><tr><th>Class</th><th>{escape(names[0])}</th><th>{escape(names[1])}</th></tr></thead><tbody>{rows}</tbody>
</table>"""


def _area(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
