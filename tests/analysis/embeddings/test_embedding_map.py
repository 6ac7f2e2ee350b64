"""How the picture of the embeddings follows the photos."""

import itertools

import numpy as np
import pytest

from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.embeddings.projection import ProjectionOptions
from ecenet.inference.prediction import Prediction
from tests.support.fitters import ScriptedFitter
from tests.support.predictions import make_prediction

TSNE = ProjectionOptions(method="t-SNE")
QUARTERS = np.array([[0, 1], [2, 2]], dtype=np.uint8)
"""Three classes at five stages: 15 points."""
NUMBERS = itertools.count()


def photos(count: int) -> list[Prediction]:
    """Whose embeddings differ from those of all others."""
    return [make_prediction(QUARTERS, photo=next(NUMBERS)) for _ in range(count)]


def test_a_new_photo_is_placed_and_the_others_stay_where_they_are() -> None:
    two, new, fitter = photos(2), photos(1), ScriptedFitter()
    first = draw_map(two, MapRequest(), previous=None, fitter=fitter)
    second = draw_map([*two, *new], MapRequest(), previous=first, fitter=fitter)
    assert (fitter.fitted, fitter.placed, second.projection.placed) == ([30], [15], 15)
    np.testing.assert_array_equal(second.projection.coordinates[:30], first.projection.coordinates)
    np.testing.assert_array_equal(second.projection.coordinates[30:], second.points.vectors[30:, :2] + 100)
    assert second.key != first.key
    assert draw_map([*two, *new], MapRequest(), previous=second, fitter=fitter) is second, "nothing has changed"


def test_a_copy_of_a_photo_lies_on_it_whenever_it_came() -> None:
    (first, second), fitter = photos(2), ScriptedFitter()
    copy = [make_prediction(QUARTERS, photo=7000), make_prediction(QUARTERS, photo=7000)]
    drawn = draw_map([first, second, first], MapRequest(), previous=None, fitter=fitter)
    assert (fitter.fitted, drawn.projection.placed) == ([30], 0)
    np.testing.assert_array_equal(drawn.projection.coordinates[30:], drawn.projection.coordinates[:15])
    assert drawn.differs.tolist() == [True] * 30 + [False] * 15
    # Of two new ones that are equal, one is placed; of one that is there already, none.
    grown = draw_map([first, second, first, *copy], MapRequest(), previous=drawn, fitter=fitter)
    assert (fitter.fitted, fitter.placed, grown.projection.placed) == ([30], [15], 15)
    np.testing.assert_array_equal(grown.projection.coordinates[60:], grown.projection.coordinates[45:60])
    again = make_prediction(QUARTERS, photo=7000)
    last = draw_map([first, second, first, *copy, again], MapRequest(), previous=grown, fitter=fitter)
    assert (fitter.placed, last.projection.placed) == ([15], 15)
    np.testing.assert_array_equal(last.projection.coordinates[75:], last.projection.coordinates[45:60])


def test_the_oldest_photo_goes_and_the_others_keep_their_places() -> None:
    three, new, fitter = photos(3), photos(1), ScriptedFitter()
    first = draw_map(three, MapRequest(), previous=None, fitter=fitter)
    second = draw_map([*three[1:], *new], MapRequest(), previous=first, fitter=fitter)
    assert fitter.fitted == [45]
    np.testing.assert_array_equal(second.projection.coordinates[:30], first.projection.coordinates[15:])


def test_a_picture_knows_those_of_the_very_same_points_in_other_places() -> None:
    three, waiting, fitter = photos(3), ScriptedFitter(ready=False), ScriptedFitter()
    stand_in = draw_map(three, MapRequest(), previous=None, fitter=waiting)
    fitted = draw_map(three, MapRequest(), previous=stand_in, fitter=fitter)
    refitted = draw_map(three, MapRequest(refits=1), previous=fitted, fitter=fitter)
    assert stand_in.projection.waiting
    assert stand_in.earlier_keys == ()
    assert fitted.earlier_keys == (stand_in.key,)
    assert refitted.earlier_keys == (fitted.key, stand_in.key)
    assert draw_map(three, MapRequest(min_area=0.2), previous=refitted, fitter=fitter).earlier_keys == ()
    assert draw_map(three[1:], MapRequest(), previous=refitted, fitter=fitter).earlier_keys == ()


@pytest.mark.parametrize(
    "changed",
    [MapRequest(refits=1), MapRequest(options=ProjectionOptions(seed=1)), MapRequest(min_area=0.2)],
    ids=["asked for", "options", "area"],
)
def test_another_request_fits_all_points(changed: MapRequest) -> None:
    three, fitter = photos(3), ScriptedFitter()
    first = draw_map(three[:2], MapRequest(), previous=None, fitter=fitter)
    second = draw_map(three, changed, previous=first, fitter=fitter)
    assert (fitter.placed, second.projection.placed) == ([], 0)
    assert second.points.vectors[:, :2].tolist() == second.projection.coordinates.tolist(), "none is elsewhere"


def test_all_points_are_fitted_where_placing_cannot_be() -> None:
    three = photos(3)
    for fitter, request in (
        (ScriptedFitter(keeps=False), MapRequest()),  # the worker has dropped the fit
        (ScriptedFitter(), MapRequest(options=TSNE)),  # t-SNE cannot place
    ):
        first = draw_map(three[:2], request, previous=None, fitter=fitter)
        second = draw_map(three, request, previous=first, fitter=fitter)
        assert fitter.fitted == [30, 45]
        assert second.projection.placed == 0


def test_no_more_points_are_placed_than_were_fitted() -> None:
    many, fitter = photos(5), ScriptedFitter()
    drawn = draw_map(many[:2], MapRequest(), previous=None, fitter=fitter)
    for count in (3, 4, 5):
        drawn = draw_map(many[:count], MapRequest(), previous=drawn, fitter=fitter)
    assert (fitter.fitted, fitter.placed) == ([30, 75], [15, 15])
    stand_in = draw_map(many[:1], MapRequest(), previous=None, fitter=fitter)
    assert stand_in.projection.method == "PCA", "15 points are too few"
    assert draw_map(many[:2], MapRequest(), previous=stand_in, fitter=fitter).projection.method == "UMAP"


def test_a_stand_in_is_replaced_once_the_worker_is_there() -> None:
    two, fitter = photos(2), ScriptedFitter(ready=False)
    waiting = draw_map(two, MapRequest(), previous=None, fitter=fitter)
    assert draw_map(two, MapRequest(), previous=waiting, fitter=fitter) is waiting, "nothing new to send"
    fitter.ready = True
    assert draw_map(two, MapRequest(), previous=waiting, fitter=fitter).projection.method == "UMAP"
