"""The same place in other photos, as the Pixel tab finds it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.match import Box, find_matches, render, render_matches
from ecenet.inference.predictor import Predictor
from tests.support.refusals import refused
from tests.support.web.browsing import PHOTOS

SHIFT = (64, 32)
SIDE = 320


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """With trained weights: what features tell apart is learned."""
    return Predictor.from_weights("everyday", half=False)


@pytest.fixture(scope="module")
def session(predictor: Predictor) -> Session:
    """Two crops of one picture, the second further right and down."""
    picture = Image.open(Path(PHOTOS) / "astronaut.png").convert("RGB")
    first = picture.crop((60, 0, 60 + SIDE, SIDE))
    second = picture.crop((60 + SHIFT[0], SHIFT[1], 60 + SHIFT[0] + SIDE, SHIFT[1] + SIDE))
    photos = tuple(
        Photo(name, predictor.predict(np.asarray(one))) for name, one in (("first", first), ("second", second))
    )
    return Session(photos=photos, stage_names=tuple(photos[0].prediction.stages))


def test_the_same_place_of_two_crops_is_found(session: Session, predictor: Predictor) -> None:
    x, y = 200, 140
    own, other = find_matches(session, Selection(pixel=(x, y)), "backbone", predictor=predictor)
    assert (own[0].name, other[0].name) == ("first", "second")
    own_best, other_best = own[1].best, other[1].best
    assert np.hypot(own_best.x - x, own_best.y - y) <= 8
    assert np.hypot(other_best.x - (x - SHIFT[0]), other_best.y - (y - SHIFT[1])) <= 8
    page = render_matches([own, other])
    assert page.count("<figure") == 2
    assert f'data-x="{other_best.x}" data-y="{other_best.y}"' in page


def test_features_of_a_stage_find_the_same_class(session: Session, predictor: Predictor) -> None:
    x, y = 200, 140
    _, (_, other) = find_matches(session, Selection(pixel=(x, y)), "stage1", predictor=predictor)
    first, second = (photo.prediction.stages["stage1"].label_map for photo in session.photos)
    assert second[other.best.y, other.best.x] == first[y, x]


def test_what_a_box_holds_is_found_in_both_crops(session: Session, predictor: Predictor) -> None:
    chosen = Selection()
    corners = (180, 120, 220, 160)
    box = Box(chosen.followed("photo"), corners)
    (_, own), (_, other) = find_matches(session, chosen, "backbone", query="box", box=box, predictor=predictor)
    for found, shift in ((own, (0, 0)), (other, SHIFT)):
        assert corners[0] - shift[0] <= found.best.x <= corners[2] - shift[0]
        assert corners[1] - shift[1] <= found.best.y <= corners[3] - shift[1]
    elsewhere = Selection(photo=1)
    with refused("missing-value", "box"):
        find_matches(session, elsewhere, "stage1", query="box", box=box, predictor=predictor)


def test_a_class_embedding_lies_on_its_class_in_both_crops(session: Session, predictor: Predictor) -> None:
    found = find_matches(session, Selection(class_name="person"), "final", query="class", predictor=predictor)
    k = session.photos[0].prediction.class_names.index("person")
    for photo, one in found:
        assert photo.prediction.label_map[one.best.y, one.best.x] == k
    page = render_matches(found, wanted="the embedding of person", is_cosine=False)
    highest = max(one.best.value for _, one in found)
    assert f"<span>{highest:.2f}</span>" in page
    assert page.count("final mask: person") == 2
    with refused("unknown-choice", "backbone", "final"):
        find_matches(session, Selection(), "backbone", query="class", predictor=predictor)


def test_cosines_have_one_scale_whatever_the_question(session: Session, predictor: Predictor) -> None:
    for pixel in ((200, 140), (5, 5)):
        page = render_matches(find_matches(session, Selection(pixel=pixel), "stage1", predictor=predictor))
        assert 'aria-label="Colour scale from 0.00 to 1.00"' in page
        assert page.count("(this photo)") == 1
        assert page.index("(this photo)") < page.index("second")


def test_nothing_is_shown_until_it_is_asked_for_and_then_what_is_missing(session: Session) -> None:
    registry = ModelRegistry("everyday")
    session = replace(session, model=registry.initial)
    at_pixel = Selection(pixel=(200, 140))
    assert render(session, at_pixel, "pixel", "backbone", None, 0, registry=registry) == ""
    page = render(session, at_pixel, "pixel", "backbone", None, 1, registry=registry)
    assert page.count("<figure") == 2
    assert "the pixel (200, 140)" in page
    assert "click on the photo" in render(session, Selection(), "pixel", "backbone", None, 1, registry=registry)
    assert "drag one" in render(session, Selection(), "box", "backbone", None, 1, registry=registry)


def test_what_is_missing_is_told(session: Session, predictor: Predictor) -> None:
    alone = Session(photos=session.photos[:1], stage_names=session.stage_names)
    with refused("not-there-yet"):
        find_matches(alone, Selection(pixel=(1, 1)), "backbone", predictor=predictor)
    with refused("missing-value", "pixel"):
        find_matches(session, Selection(), "backbone", predictor=predictor)
    with refused("unknown-choice", "stage9", "stage1"):
        find_matches(session, Selection(pixel=(1, 1)), "stage9", predictor=predictor)
