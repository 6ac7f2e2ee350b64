"""Painting on the photo of the What if tab, and making classes of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from ecenet.analysis.interventions.painted_class import PAINTED_COLORS
from ecenet.analysis.interventions.painting import Pooling
from ecenet.app.state.experiment import Experiment
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.app.tabs.what_if import controls, handlers
from ecenet.app.tabs.what_if import tab as what_if
from ecenet.app.tabs.what_if.render import render_details, render_result
from ecenet.inference.prediction import Prediction
from ecenet.inference.weights import save_model
from tests.app.tabs.what_if.strokes import BOX, HERE, made, sent, stroked
from tests.support.helpers import CLASS_NAMES, small_model
from tests.support.refusals import refused
from tests.support.web.toasts import toasted


def painted_pixels(experiment: Experiment, prediction: Prediction) -> int:
    region = experiment.region_on(prediction)
    assert region is not None
    return int(region.sum())


def test_strokes_are_kept_for_each_photo_and_can_be_taken_back(session: Session) -> None:
    one, other = (photo.prediction for photo in session.photos)
    experiment = stroked(session)
    assert painted_pixels(experiment, one) == 27 * 27
    assert experiment.region_on(other) is None
    experiment = stroked(session, selection=Selection(photo=1), experiment=experiment)
    experiment = stroked(session, experiment=experiment)
    assert len(experiment.strokes_on(one)) == 2
    experiment = handlers.undo_stroke(session, HERE, experiment)
    assert len(experiment.strokes_on(one)) == 1
    experiment = handlers.clear_strokes(session, HERE, experiment)
    assert experiment.region_on(one) is None
    assert experiment.region_on(other) is not None
    assert handlers.undo_stroke(session, HERE, experiment).region_on(one) is None


def test_every_patch_keeps_the_stage_that_it_was_taken_at(session: Session) -> None:
    """Labels of the coarse mask and of the final one differ, and so do their patches around one pixel."""
    photo = session.photos[0]
    coarse, fine = (np.repeat([[0], [1]], (rows, 48 - rows), axis=0).repeat(64, axis=1) for rows in (30, 10))
    stages = {
        name: replace(stage, label_map=(coarse if name == "ece" else fine).astype(np.uint8))
        for name, stage in photo.prediction.stages.items()
    }
    prediction = replace(photo.prediction, stages=stages)
    session = replace(session, photos=(replace(photo, prediction=prediction),))
    pick = sent({"tool": "pick", "points": [[5, 5]], "radius": 3})
    dot = sent({"tool": "box", "points": [[60, 40], [60, 40]], "radius": 3})
    at_ece, at_end = Selection(stage="ece"), Selection(stage="final")

    experiment = handlers.add_stroke(session, at_ece, Experiment(), pick)
    assert painted_pixels(experiment, prediction) == 30 * 64
    experiment = handlers.add_stroke(session, at_end, experiment, dot)
    assert painted_pixels(experiment, prediction) == 30 * 64 + 1, "painted at another stage meanwhile"
    experiment = handlers.undo_stroke(session, at_end, experiment)
    assert painted_pixels(experiment, prediction) == 30 * 64
    experiment = handlers.clear_strokes(session, at_end, experiment)
    experiment = handlers.add_stroke(session, at_end, experiment, pick)
    assert painted_pixels(experiment, prediction) == 10 * 64


def test_a_forged_stroke_becomes_a_toast(session: Session) -> None:
    for data in (None, {}, BOX | {"tool": "knife"}):
        with toasted("unknown-choice", "tool"):
            handlers.add_stroke(session, HERE, Experiment(), sent(data))
    with toasted("invalid-value", "stroke"):
        handlers.add_stroke(session, HERE, Experiment(), sent(BOX | {"points": [[1, 2]] * 10_000}))
    with toasted("not-there-yet", "photo"):
        handlers.add_stroke(Session(), HERE, Experiment(), sent(BOX))


def test_the_canvas_shows_the_photo_and_what_is_painted(session: Session) -> None:
    canvas = what_if.render_canvas(session, HERE, stroked(session))
    about = json.loads(canvas.value)
    assert (about["width"], about["height"], about["name"]) == (64, 48, "photo0")
    region = np.zeros((4, 6), dtype=bool)
    region[1, 2] = True
    picture = what_if.region_picture(region)
    assert picture.startswith("data:image/png;base64,")
    assert what_if.region_picture(None) == ""
    assert what_if.render_canvas(Session(), HERE, Experiment()).value == ""


def test_the_picture_of_a_region_is_see_through_where_nothing_is_painted() -> None:
    import base64
    import io

    region = np.array([[True, False]])
    content = base64.b64decode(what_if.region_picture(region).split(",")[1])
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    assert tuple(pixels[0, 0]) == what_if.TINT
    assert pixels[0, 1, 3] == 0


def test_what_is_painted_becomes_a_class_in_all_photos(session: Session, registry: ModelRegistry) -> None:
    experiment = made(session, registry, stroked(session))
    page = render_result(experiment, session, HERE, predictor=registry.open("own"))
    assert "mine" in page
    assert page.count("<img") == 4, "before, after, what changed, and the similarity that did"
    details = render_details(experiment, session, HERE, predictor=registry.open("own"))
    assert "Similarity to mine" in details
    assert "photo5" in details, "the other photo"
    assert 'data-stage="ece"' not in details
    again = made(session, registry, experiment)
    assert [one.name for one in again.scenario.classes] == ["mine"], "the same name is the same class, made anew"
    two = made(session, registry, experiment, name="yours")
    assert [one.color for one in two.scenario.classes] == list(PAINTED_COLORS[:2])


def test_a_class_that_the_backbone_finds_has_no_similarity_maps(session: Session, registry: ModelRegistry) -> None:
    experiment = handlers.make_class(session, HERE, stroked(session), "found", "backbone", 3, registry=registry)
    predictor = registry.open("own")
    assert "found</td><td>+" in render_result(experiment, session, HERE, predictor=predictor)
    details = render_details(experiment, session, HERE, predictor=predictor)
    assert "photo5" in details
    assert "Similarity to" not in details
    both = made(session, registry, experiment)
    assert "Similarity to mine" in render_details(both, session, HERE, predictor=predictor)


def test_every_way_of_painting_can_be_chosen() -> None:
    assert {value for _, value in controls.METHODS} == {*get_args(Pooling), "backbone"}


def test_without_a_region_or_a_free_name_there_is_no_class(session: Session, registry: ModelRegistry) -> None:
    with refused("missing-value", "painted region"):
        made(session, registry, Experiment())
    for name in ("", "  "):
        with refused("missing-value", "name"):
            made(session, registry, stroked(session), name=name)
    with refused("name-taken", repr(CLASS_NAMES[0])):
        made(session, registry, stroked(session), name=CLASS_NAMES[0])


def test_a_class_is_saved_and_opened_with_the_same_weights(
    session: Session, registry: ModelRegistry, tmp_path: Path
) -> None:
    experiment = made(session, registry, stroked(session))
    path = handlers.save_last(session, experiment, registry=registry)
    opened = handlers.open_class(session, HERE, Experiment(), str(path), registry=registry)
    assert np.array_equal(opened.scenario.classes[0].embeddings, experiment.scenario.classes[0].embeddings)
    with refused("not-there-yet", "painted class"):
        handlers.save_last(session, Experiment(), registry=registry)
    save_model(small_model(seed=2), tmp_path / "own")
    with refused("wrong-weights", path.name, got=experiment.scenario.classes[0].weights_hash):
        handlers.open_class(session, HERE, Experiment(), str(path), registry=registry)
