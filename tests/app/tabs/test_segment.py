"""What the Segment tab sends for every pixel, held to the softmax, and what it takes from a browser."""

import base64
import io
import json
import re
from dataclasses import replace
from html import unescape

import gradio as gr
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ecenet.app.state.select_events import choose_pixel, choose_row
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs import segment
from ecenet.app.widgets.pixel_planes import ABSENT, MAX_SIDE, PLANES, TOP, planes_uri, sampled, stage_planes
from ecenet.inference.prediction import Prediction, StagePrediction
from ecenet.inference.predictor import Predictor
from tests.support.helpers import noise_image, small_model
from tests.support.predictions import CLASS_NAMES, STAGES, make_prediction
from tests.support.web.toasts import toasted

LABELS = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)


def stage_of(logits: np.ndarray, labels: np.ndarray) -> StagePrediction:
    """A stage of which only logits and label map are true."""
    nothing = np.zeros(len(logits))
    return StagePrediction("final", labels, np.zeros(labels.shape), logits, logits, nothing, None, nothing, nothing)


def softmax_of(stage: StagePrediction) -> np.ndarray:
    """(K, H, W) float64 probabilities at the photo's own size."""
    logits = torch.from_numpy(stage.mask_logits).double()[None]
    size = stage.label_map.shape
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0].softmax(dim=0).numpy()


def predict(width: int, height: int) -> Prediction:
    return Predictor(small_model(), half=False).predict(noise_image(width, height))


def decode(uri: str) -> np.ndarray:
    picture = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    assert picture.mode == "L", "one number a pixel, without alpha"
    array = np.array(picture)
    return array.reshape(PLANES, -1, array.shape[1])


def test_three_classes_their_probabilities_and_the_entropy_by_hand() -> None:
    # On a grid of one cell, and 8 : 4 : 2 : 1 : 0 between the classes.
    logits = np.log(np.array([4.0, 1.0, 8.0, 2.0, 1e-30], dtype=np.float32)).reshape(5, 1, 1)
    planes = stage_planes(stage_of(logits, np.full((2, 3), 2, dtype=np.uint8)))
    assert planes.shape == (PLANES, 2, 3)
    shares = np.array([8, 4, 2, 1]) / 15
    entropy = -(shares * np.log(shares)).sum() / np.log(5)
    expected = [2, 0, 3, 53, 27, 13, round(100 * entropy)]
    assert planes[:, 0, 0].tolist() == expected
    assert (planes == planes[:, :1, :1]).all()


def test_all_classes_alike_have_entropy_one() -> None:
    planes = stage_planes(stage_of(np.zeros((4, 1, 1), dtype=np.float32), np.zeros((1, 1), dtype=np.uint8)))
    assert planes[TOP:, 0, 0].tolist() == [25, 25, 25, 100]


def test_two_classes_leave_the_third_place_empty() -> None:
    logits = np.array([0.0, 50.0], dtype=np.float32).reshape(2, 1, 1)
    planes = stage_planes(stage_of(logits, np.ones((1, 1), dtype=np.uint8)))
    assert planes[:, 0, 0].tolist() == [1, 0, ABSENT, 100, 0, 0, 0]


def test_a_class_that_cannot_be_is_still_a_runner_up() -> None:
    logits = np.array([-1000.0, 0.0], dtype=np.float32).reshape(2, 1, 1)
    assert stage_planes(stage_of(logits, np.ones((1, 1), dtype=np.uint8)))[:2, 0, 0].tolist() == [1, 0]


@pytest.mark.parametrize(("width", "height"), [(50, 37), (130, 201)])
def test_every_pixel_of_a_photo_has_the_softmax_and_the_label_map(width: int, height: int) -> None:
    for stage in predict(width, height).stages.values():
        planes = stage_planes(stage)
        truth = softmax_of(stage)
        assert (planes[0] == stage.label_map).all()
        named = np.take_along_axis(truth, planes[:TOP].astype(int), axis=0)
        assert np.abs(planes[TOP : 2 * TOP] - 100 * named).max() <= 0.51, "rounded to whole percent"
        assert np.abs(named - np.sort(truth, axis=0)[::-1][:TOP]).max() < 1e-4, "and they are the three best ones"
        entropy = -(truth * np.log(truth)).sum(axis=0) / np.log(len(truth))
        assert np.abs(planes[2 * TOP] - 100 * entropy).max() <= 0.51


def test_of_a_large_photo_pixels_are_picked_evenly() -> None:
    stage = predict(1000, 40).final
    planes = stage_planes(stage)
    rows, columns = sampled(40, longest=1000), sampled(1000, longest=1000)
    assert planes.shape == (PLANES, 20, MAX_SIDE)
    assert (planes[0] == stage.label_map[rows[:, None], columns]).all()
    truth = softmax_of(stage)[:, rows[:, None], columns]
    best = np.take_along_axis(truth, planes[:1].astype(int), axis=0)
    assert np.abs(planes[TOP] - 100 * best).max() <= 0.51


def test_the_pixel_that_stands_for_a_cell_lies_in_it() -> None:
    for length in (513, 777, 1000, 1024, 5000):
        picked = sampled(length, longest=length)
        assert len(picked) == MAX_SIDE
        # How the browser finds the cell of a pixel.
        assert (np.floor((picked + 0.5) * MAX_SIDE / length) == np.arange(MAX_SIDE)).all()
    assert (sampled(300, longest=400) == np.arange(300)).all()
    assert sampled(1, longest=9000).tolist() == [0]


def test_planes_survive_the_way_through_the_page() -> None:
    prediction = predict(61, 43)
    page = segment.render_masks(Photo("photo", prediction), "final", 0.6)
    sent = dict(re.findall(r'data-stage="(\w+)" data-title[^>]*? data-planes="(.*?)"', page, re.DOTALL))
    assert list(sent) == list(prediction.stages)
    for name, uri in sent.items():
        assert (decode(uri) == stage_planes(prediction.stages[name])).all()


def test_any_planes_survive_the_png() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (PLANES, 9, 31), dtype=np.uint8)
    assert (decode(planes_uri(planes)) == planes).all()


def test_the_page_tells_the_browser_names_colours_and_sizes() -> None:
    page = segment.render_masks(Photo("photo", make_prediction(LABELS)), "final", 0.6)
    classes = re.search(r'data-classes="(.*?)"', page)
    assert classes is not None
    assert [name for name, _ in json.loads(unescape(classes[1]))] == CLASS_NAMES
    assert 'data-size="[4,2]"' in page
    assert 'data-grid="[4,2]"' in page
    assert re.findall(r'<tr data-class="(\d)">', page)[:2] == ["1", "0"], "dog is larger than background"


def test_a_photo_says_how_much_of_it_is_unsure() -> None:
    prediction = make_prediction(LABELS)
    prediction.final.confidence[:, :2] = 0.3
    page = segment.render_masks(Photo("photo", replace(prediction, unsure_below=0.41)), "stage2", 0.6)
    assert 'data-unsure-below="41"' in page
    rows = re.findall(r"<tr data-doubtful>.*?unsure.*?<td>(.*?)</td><td>(.*?)</td></tr>", page)
    assert rows == [("50.0%", "&lt; 41%")], "once, of the final mask"
    assert "The network is unsure" not in page, "half is not most"
    prediction.final.confidence[0, 2] = 0.3
    page = segment.render_masks(Photo("photo", replace(prediction, unsure_below=0.41)), "final", 0.6)
    assert "unsure about 62% of this photo, which may show none of the 3 classes" in page


def test_weights_without_a_threshold_are_never_unsure() -> None:
    session = session_with()
    page = segment.render(session, Selection(), 0.6)
    assert 'data-unsure-below="null"' in page
    assert "data-doubtful" not in page
    assert "unsure" not in page.replace("data-unsure-below", "")
    assert segment.render_controls(session, Selection(), "final")[3].visible is False
    photo = Photo("photo", replace(make_prediction(LABELS), unsure_below=0.5))
    assert segment.render_controls(session.with_photo(photo), Selection(photo=1), "final")[3].visible is True


def test_class_names_cannot_inject_html() -> None:
    prediction = replace(make_prediction(LABELS), class_names=["sky", '"><script>alert(1)</script>', "cat"])
    assert "<script>" not in segment.render_masks(Photo("photo", prediction), "final", 0.6)


def session_with(labels: np.ndarray = LABELS) -> Session:
    return Session(stage_names=tuple(STAGES)).with_photo(Photo("photo", make_prediction(labels)))


def event(data: object) -> gr.EventData:
    return gr.EventData(None, data)


def test_a_click_selects_its_pixel_and_nothing_else_changes() -> None:
    before = Selection(stage="stage3", class_name="dog", pixel=(0, 0), revision=4)
    after = choose_pixel(session_with(), before, event({"x": 3, "y": 1}))
    assert after == Selection(stage="stage3", class_name="dog", pixel=(3, 1), revision=4)


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        "xy",
        [3, 1],
        {},
        {"x": 3},
        {"x": 4, "y": 0},
        {"x": 0, "y": 2},
        {"x": -1, "y": 0},
        {"x": 1.0, "y": 0},
        {"x": True, "y": 0},
        {"x": "1", "y": 0},
        {"x": [[1]], "y": {"a": 2}},
        {"x": 10**400, "y": 0},
    ],
)
def test_a_forged_pixel_becomes_a_toast(data: object) -> None:
    with toasted("out-of-range", "x in 0 … 3", "y in 0 … 1"):
        choose_pixel(session_with(), Selection(), event(data))


def test_without_a_photo_there_is_no_pixel() -> None:
    with toasted("not-there-yet", "photo"):
        choose_pixel(Session(), Selection(), event({"x": 0, "y": 0}))
    assert segment.render_controls(Session(), Selection(pixel=(0, 0)), "final")[1] == ""


def test_the_marker_follows_the_selection() -> None:
    session = session_with()
    assert segment.render_controls(session, Selection(), "final")[1] == ""
    assert segment.render_controls(session, Selection(pixel=(3, 1)), "final")[1] == "3,1"
    assert segment.render_controls(session, Selection(pixel=(4, 1)), "final")[1] == "", "this photo is smaller"
    assert segment.render_controls(session, Selection(pixel=(3, 1), photo=99), "final")[1] == "3,1", (
        "the last photo is shown"
    )


def test_the_class_that_was_chosen_anywhere_stands_out() -> None:
    session = session_with()
    names = session.photo(Selection()).prediction.class_names  # type: ignore[union-attr]
    assert segment.render_controls(session, Selection(), "final")[2] == ""
    assert segment.render_controls(session, Selection(class_name=names[1]), "final")[2] == "1"
    assert segment.render_controls(session, Selection(class_name="zebra"), "final")[2] == "", "another model's class"
    assert segment.render_controls(Session(), Selection(class_name=names[1]), "final")[2] == ""


def test_a_row_of_the_legend_chooses_its_class_and_takes_it_back() -> None:
    session = session_with()
    names = session.photo(Selection()).prediction.class_names  # type: ignore[union-attr]
    chosen = choose_row(session, Selection(reference=5), event({"class_index": 2}))
    assert (chosen.class_name, chosen.reference) == (names[2], None)
    assert choose_row(session, chosen, event({"class_index": None})).class_name is None
    for forged in (99, "cat", True, [1]):
        with toasted("unknown-choice"):
            choose_row(session, Selection(), event({"class_index": forged}))
