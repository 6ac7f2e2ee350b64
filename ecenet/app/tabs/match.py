"""Below the Pixel tab: where in the session's other photos something like the selected pixel is."""

import gradio as gr

from ecenet.analysis.diagnostics.feature_match import BACKBONE, Found, find_place
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import MODEL_QUEUE, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.widgets.markup import data_uri, escape
from ecenet.common.errors import UserError
from ecenet.inference.overlay import heat_gradient, similarity_overlay
from ecenet.inference.prediction import stage_title
from ecenet.inference.predictor import Predictor

MAX_SIDE = 360
"""Of a picture, in pixels."""
ALONE = "Add another photo first: there is none to look in but this one."


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry, stage_names: list[str]) -> Subscription:
    """Lay out the section. Returns what takes the answer away when something else is selected."""
    gr.Markdown(
        "### The same place in other photos\n"
        "Backbone features find places that look alike; the features of a stage find the same class."
    )
    levels = [("Backbone", BACKBONE), *((stage_title(name), name) for name in stage_names if name != "ece")]
    level = gr.Radio(levels, value=BACKBONE, label="Features of", elem_id="match-level")
    ask = gr.Button("Find the selected pixel in all photos", size="sm", elem_id="match-pixel")
    view = gr.HTML(elem_id="match-view")

    @show_errors
    def find(session: Session, selection: Selection, level: str) -> str:
        return render_matches(find_matches(session, selection, level, predictor=registry.open(session.model)))

    ask.click(find, [session, selection, level], view, **MODEL_QUEUE)
    level.input(lambda: "", None, view, api_visibility="private")
    return Subscription(lambda: "", [], [view])


def find_matches(
    session: Session, selection: Selection, level: str, *, predictor: Predictor
) -> list[tuple[Photo, Found]]:
    """The photo of the selected pixel first, then all others.

    Args:
        level: as for `find_place`.
    Raises:
        UserError: there is no second photo, no pixel, or no such level.
    """
    chosen = session.required_photo(selection)
    if len(session.photos) < 2:
        raise UserError("not-there-yet", f"Expected two photos or more, got one. {ALONE}")
    if selection.pixel is None:
        raise UserError("missing-value", "Expected a pixel, got none; click on the photo in the Segment tab.")
    photos = [chosen, *(photo for photo in session.photos if photo is not chosen)]
    found = find_place(predictor, [photo.prediction for photo in photos], selection.pixel, level=level)
    return list(zip(photos, found, strict=True))


def render_matches(found: list[tuple[Photo, Found]]) -> str:
    """One heat map a photo on one scale, with a ring at the best match."""
    low, high = min(float(one.similarity.min()) for _, one in found), 1.0
    cards = "".join(_card(photo, one, low=low, high=high) for photo, one in found)
    return f"""
<div class="ece-scale" role="img" aria-label="Colour scale of cosine similarity from {low:.2f} to {high:.2f}">
  <span>{low:.2f}</span><div style="background:{heat_gradient()}"></div><span>{high:.2f}</span>
  <span>cosine similarity to the selected pixel; the ring is the best match</span>
</div>
<div class="ece-grid">{cards}</div>"""


def _card(photo: Photo, found: Found, *, low: float, high: float) -> str:
    image, (x, y, cosine) = photo.prediction.image, found.best
    picture = similarity_overlay(image, found.similarity, low=low, high=high, opacity=0.6, max_side=MAX_SIDE)
    left, top = 100 * (x + 0.5) / image.width, 100 * (y + 0.5) / image.height
    name = escape(photo.name)
    return f"""
<figure class="ece-match" data-x="{x}" data-y="{y}">
  <span class="ece-found"><img src="{data_uri(picture, file_format="JPEG")}" alt="{name}: similarity to the pixel"><i
    style="left:{left:.2f}%;top:{top:.2f}%"></i></span>
  <figcaption>{name} <small>best match {cosine:.2f} at ({x}, {y})</small></figcaption>
</figure>"""
