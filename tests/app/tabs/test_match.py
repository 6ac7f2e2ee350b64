"""The same place in other photos, as the Pixel tab finds it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.match import find_matches, render_matches
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


def test_what_is_missing_is_told(session: Session, predictor: Predictor) -> None:
    alone = Session(photos=session.photos[:1], stage_names=session.stage_names)
    with refused("not-there-yet"):
        find_matches(alone, Selection(pixel=(1, 1)), "backbone", predictor=predictor)
    with refused("missing-value", "pixel"):
        find_matches(session, Selection(), "backbone", predictor=predictor)
    with refused("unknown-choice", "stage9", "stage1"):
        find_matches(session, Selection(pixel=(1, 1)), "stage9", predictor=predictor)
