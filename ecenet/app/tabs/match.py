"""Section of the Pixel tab that finds the selected pixel, a box or a class embedding in all photos of the session."""

from collections.abc import Hashable
from functools import partial
from typing import Literal, NamedTuple

import gradio as gr

from ecenet.analysis.diagnostics.embedding_match import embedding_levels, find_embedding
from ecenet.analysis.diagnostics.feature_match import BACKBONE, COSINE_SCALE, Found, find_box, find_place
from ecenet.analysis.diagnostics.similarity_maps import value_range
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import EACH, HIDDEN, Subscription, event_data
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import choose_class
from ecenet.app.state.selection import Selection, pixel_of, shown_class
from ecenet.app.state.session import Photo, Session
from ecenet.app.widgets.class_lists import CLASS_HELP, class_choices
from ecenet.app.widgets.markup import data_uri, empty_state, escape
from ecenet.common.errors import UserError
from ecenet.inference.overlay import heat_gradient, similarity_overlay
from ecenet.inference.prediction import stage_title
from ecenet.inference.predictor import Predictor

MAX_SIDE = 360
"""Longest side of pictures in pixels."""
Query = Literal["pixel", "box", "class"]
QUERIES: dict[Query, str] = {"pixel": "Selected pixel", "box": "Box", "class": "Class embedding"}
HELP = (
    "Backbone features find places that look like the pixel or box (drag a box on the map above with a mouse or pen); "
    "features of a stage find the same class. A class embedding of this photo is used in the other photos instead of "
    "their own, and the map is the resulting mask."
)


class Box(NamedTuple):
    """A box dragged on a photo."""

    photo: Hashable
    """`Selection.followed("photo")` at that time; the box is not valid for other photos."""
    corners: tuple[int, int, int, int]
    """(x, y, x, y) of two opposite corners, in pixels."""


def build(
    session: gr.State, selection: gr.State, picture: gr.HTML, *, registry: ModelRegistry, stage_names: list[str]
) -> Subscription:
    """Lay out the section.

    Args:
        picture: picture of the selected photo; its event `box` sends the dragged box.
    Returns: the subscription that updates the results.
    """
    box, asked = gr.State(None), gr.State(0)
    gr.Markdown(f"## Find it in other photos\n{HELP}")
    with gr.Row():
        query = gr.Radio(
            [(title, name) for name, title in QUERIES.items()],
            value="pixel",
            label="Find",
            elem_id="match-query",
            min_width=300,
        )
        level = gr.Radio(
            _levels("pixel", stage_names), value=BACKBONE, label="Features of", elem_id="match-level", min_width=300
        )
        chosen = gr.Dropdown(
            [],
            label=f"Class ({CLASS_HELP})",
            elem_id="match-class",
            visible=False,
            interactive=True,
            min_width=160,
        )
    ask = gr.Button("Find in all photos", size="sm", elem_id="match-pixel")
    view = gr.HTML(elem_id="match-view")

    both = [session, selection]
    ask.click(lambda number: number + 1, asked, asked, **EACH)
    chosen.input(choose_class, [selection, chosen], selection, **EACH)
    picture.box(take_box, [*both, asked], [box, query, asked], **EACH)
    # A click after a box switches back to the pixel.
    picture.click(lambda query: "pixel" if query == "box" else gr.skip(), query, query, **HIDDEN)
    answer = Subscription(
        show_errors(partial(render, registry=registry)),
        [*both, query, level, box, asked],
        [view],
        runs_model=True,
    )
    return Subscription(
        render_controls,
        [*both, query, level],
        [level, chosen],
        then=answer,
        also_after=[query.change, level.input, asked.change],
    )


@show_errors
def take_box(session: Session, selection: Selection, asked: int, event: gr.EventData) -> tuple[Box, Query, int]:
    """Return the dragged box, from `{"x": …, "y": …, "to_x": …, "to_y": …}`, and start the search.

    Raises:
        gr.Error: the box is not inside the photo.
    """
    prediction, sent = session.required_photo(selection).prediction, event_data(event)
    corners = (
        *pixel_of(prediction, sent.get("x"), sent.get("y")),
        *pixel_of(prediction, sent.get("to_x"), sent.get("to_y")),
    )
    return Box(selection.followed("photo"), corners), "box", asked + 1


def render_controls(session: Session, selection: Selection, query: Query, level: str) -> tuple[gr.Radio, gr.Dropdown]:
    """Return the choices of features for the query, and of classes if the query is a class."""
    choices = _levels(query, list(session.stage_names))
    names = [name for _, name in choices]
    levels = gr.Radio(choices, value=level if level in names else names[-1 if query == "class" else 0])
    photo = session.photo(selection)
    if photo is None:
        return levels, gr.Dropdown(visible=False)
    name = shown_class(photo.prediction, selection.class_name)
    return levels, gr.Dropdown(class_choices(photo.prediction), value=name, visible=query == "class")


def _levels(query: Query, stage_names: list[str]) -> list[tuple[str, str]]:
    stages = [(stage_title(name), name) for name in embedding_levels(stage_names)]
    return stages if query == "class" else [("Backbone", BACKBONE), *stages]


def render(
    session: Session,
    selection: Selection,
    query: Query,
    level: str,
    box: Box | None,
    asked: int,
    *,
    registry: ModelRegistry,
) -> str:
    """Return the results, or what is missing; empty before the first search."""
    if not asked or not session.photos:
        return ""
    missing = _missing(session, selection, query, box)
    if missing is not None:
        return empty_state(str(missing))
    found = find_matches(session, selection, level, query=query, box=box, predictor=registry.open(session.model))
    return render_matches(found, wanted=_wanted(session, selection, query, box), is_cosine=query != "class")


def _missing(session: Session, selection: Selection, query: Query, box: Box | None) -> UserError | None:
    if len(session.photos) < 2:
        return UserError(
            "not-there-yet",
            "Expected at least two photos, got one. Add another photo to search in.",
        )
    if query == "pixel" and selection.pixel is None:
        return UserError("missing-value", "Expected a pixel, got none; click on the photo in this or the Segment tab.")
    if query == "box" and (box is None or box.photo != selection.followed("photo")):
        return UserError("missing-value", "Expected a box in this photo, got none; drag one on the map above.")
    return None


def _wanted(session: Session, selection: Selection, query: Query, box: Box | None) -> str:
    """Return a description of the query."""
    photo = session.required_photo(selection)
    if query == "class":
        return f"the embedding of {shown_class(photo.prediction, selection.class_name)}"
    if query == "box" and box is not None:
        return "the box ({}, {}) to ({}, {})".format(*box.corners)
    return "the pixel ({}, {})".format(*(selection.pixel or ()))


def find_matches(
    session: Session,
    selection: Selection,
    level: str,
    *,
    query: Query = "pixel",
    box: Box | None = None,
    predictor: Predictor,
) -> list[tuple[Photo, Found]]:
    """Return the matches of the selected photo, then of all others.

    Args:
        level: as for `find_place`; for a class embedding, the stage as for `find_embedding`.
        box: box in the selected photo, if the query is a box.
    Raises:
        UserError: there is no second photo, no pixel or box, or the level is unknown.
    """
    chosen = session.required_photo(selection)
    missing = _missing(session, selection, query, box)
    if missing is not None:
        raise missing
    photos = [chosen, *(photo for photo in session.photos if photo is not chosen)]
    predictions = [photo.prediction for photo in photos]
    if query == "class":
        k = chosen.prediction.class_names.index(shown_class(chosen.prediction, selection.class_name))
        found = find_embedding(predictor, predictions, k, stage=level)
    elif query == "box":
        assert box is not None, "checked by _missing"
        found = find_box(predictor, predictions, box.corners, level=level)
    else:
        assert selection.pixel is not None, "checked by _missing"
        found = find_place(predictor, predictions, selection.pixel, level=level)
    return list(zip(photos, found, strict=True))


def render_matches(
    found: list[tuple[Photo, Found]], *, wanted: str = "the selected pixel", is_cosine: bool = True
) -> str:
    """Return one heat map per photo on a common scale, with a ring at the best match.

    Args:
        wanted: description of the query.
        is_cosine: whether the maps are cosine similarities or mask logits, whose scale is the range over all maps.
    """
    lowest, highest = value_range([one.similarity for _, one in found])
    low, high = COSINE_SCALE if is_cosine else (lowest, highest)
    left_end = f"{low:.2f}{' or less' if lowest < low else ''}"
    meaning = f"{'cosine similarity to' if is_cosine else 'mask logits of'} {escape(wanted)}"
    cards = "".join(_card(*one, low=low, high=high, own=number == 0) for number, one in enumerate(found))
    return f"""
<div class="ece-scale" role="img" aria-label="Colour scale from {low:.2f} to {high:.2f}">
  <span>{left_end}</span><div style="background:{heat_gradient()}"></div><span>{high:.2f}</span>
  <span>{meaning}, one scale for all photos; the ring is the best match</span>
</div>
<div class="ece-grid">{cards}</div>"""


def _card(photo: Photo, found: Found, *, low: float, high: float, own: bool) -> str:
    prediction, (x, y, value) = photo.prediction, found.best
    image = prediction.image
    picture = similarity_overlay(image, found.similarity, low=low, high=high, opacity=0.6, max_side=MAX_SIDE)
    left, top = 100 * (x + 0.5) / image.width, 100 * (y + 0.5) / image.height
    name, there = escape(photo.name), escape(prediction.class_names[prediction.label_map[y, x]])
    return f"""
<figure class="ece-match" data-x="{x}" data-y="{y}">
  <span class="ece-found"><img src="{data_uri(picture, file_format="JPEG")}" alt="{name}: similarity to the query"><i
    style="left:{left:.2f}%;top:{top:.2f}%"></i></span>
  <figcaption>{name}{" (this photo)" if own else ""}
    <small>best match {value:.2f} at ({x}, {y}), final mask: {there}</small></figcaption>
</figure>"""
