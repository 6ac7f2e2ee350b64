"""The Compare tab without a browser: photos side by side, and one photo as two models see it."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np

from ecenet.analysis.diagnostics.ground_truth import Truth
from ecenet.analysis.diagnostics.model_agreement import compare_models
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import choose_photo
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session, add_photo, new_session
from ecenet.app.tabs import compare
from ecenet.app.tabs.compare import Other, find_other, render_pair, render_photos
from ecenet.inference.weights import save_model
from tests.support.helpers import noise_image, small_model
from tests.support.predictions import STAGES, make_prediction
from tests.support.refusals import refused
from tests.support.web.toasts import toasted

ONE = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
TWO = np.array([[0, 1, 1, 2], [0, 0, 2, 2]], dtype=np.uint8)


def two_photos() -> Session:
    session = Session(stage_names=tuple(STAGES)).with_photo(Photo("one", make_prediction(ONE, stages={"ece": TWO})))
    return session.with_photo(Photo("<two>", make_prediction(TWO)))


def clicked(data: Any) -> gr.EventData:
    return SimpleNamespace(_data=data)  # type: ignore[return-value]


def test_agreement_by_hand() -> None:
    first, second = make_prediction(ONE), make_prediction(TWO)
    agreement = compare_models(first, second, stages=("final", "final"))
    assert agreement.share == 5 / 8
    assert agreement.same.tolist() == (ONE == TWO).tolist()
    assert [(row.name, row.first, row.second) for row in agreement.classes] == [
        ("dog", 5 / 8, 2 / 8),
        ("background", 3 / 8, 3 / 8),
        ("cat", 0, 3 / 8),
    ]


def test_classes_are_the_same_where_their_names_are() -> None:
    first = make_prediction(ONE)
    second = replace(make_prediction(2 - ONE), class_names=["sheep", "dog", "background"])
    agreement = compare_models(first, second, stages=("final", "stage1"))
    assert agreement.share == 1, "background is number 0 in one, number 2 in the other"
    assert compare_models(first, replace(second, class_names=["x", "y", "z"]), stages=("final", "final")).share == 0
    names = {row.name: (row.first, row.second) for row in agreement.classes}
    assert names == {"dog": (5 / 8, 5 / 8), "background": (3 / 8, 3 / 8)}, "nobody sees a sheep"


def test_a_photo_agrees_with_itself() -> None:
    prediction = make_prediction(ONE, stages={"ece": TWO})
    assert compare_models(prediction, prediction, stages=("ece", "ece")).share == 1
    assert compare_models(prediction, prediction, stages=("ece", "final")).share == prediction.agreement("ece")


def test_every_photo_is_a_card_at_the_selected_stage() -> None:
    page = render_photos(two_photos(), Selection(photo=1, stage="ece"))
    assert re.findall(r'data-photo="(\d)" aria-pressed="(\w+)"', page) == [("0", "false"), ("1", "true")]
    assert "background 38%, cat 38%, dog 25%" in page
    assert "Coarse (ECE)" in page
    assert "<two>" not in page
    assert "side by side" in render_photos(Session(), Selection())


def test_a_click_looks_at_the_photo() -> None:
    session = two_photos()
    after = choose_photo(session, Selection(stage="stage2", pixel=(1, 1)), clicked({"index": 1}))
    assert after == Selection(photo=1, stage="stage2")
    shown = Selection(photo=1, pixel=(1, 1), class_name="cat")
    assert choose_photo(session, shown, clicked({"index": 1})) == shown
    assert choose_photo(session, replace(shown, reference=3), clicked({"index": 1})) == shown
    for index in (2, -1, "0", None, True, 0.0):
        with toasted("unknown-choice", "photos", "0 … 1", index):
            choose_photo(session, Selection(), clicked({"index": index}))


def test_the_other_model_sees_the_photo_once(tmp_path: Path) -> None:
    save_model(small_model(), tmp_path / "own")
    registry = ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")
    noise_image(40, 30).save(tmp_path / "noise.png")
    session, selection = new_session(registry), Selection()
    assert find_other(session, selection, "weights:everyday", None, registry=registry) is None, "no photo yet"
    session = add_photo(session, str(tmp_path / "noise.png"), predictor=registry.open(session.model))
    assert find_other(session, selection, "", None, registry=registry) is None, "nobody asked"
    other = find_other(session, selection, "weights:everyday", None, registry=registry)
    assert other is not None
    assert "sheep" in other.prediction.class_names
    assert find_other(session, selection, "weights:everyday", other, registry=registry) is other
    assert render_pair(session, selection, other).count("<img") == 3
    assert "<td>–</td>" in render_pair(session, selection, other)
    with refused("unknown-choice", "model", "'../etc'"):
        find_other(session, selection, "../etc", None, registry=registry)


def test_a_pair_is_shown_with_its_photo_only() -> None:
    session = two_photos()
    mine = session.photos[0].prediction
    other = Other("k", ("mine", "<b>other</b>"), mine, make_prediction(TWO))
    page = render_pair(session, Selection(), other)
    assert "agree on 62.5% of the pixels" in page
    assert "<b>other" not in page
    assert "mIoU" not in page
    assert "agree on 100.0%" in render_pair(session, Selection(stage="ece"), other)
    assert render_pair(session, Selection(photo=1), other) == ""
    session = session.with_truth(Selection(), Truth(ONE, tuple(mine.class_names)))
    assert "mIoU 100.0 and" in render_pair(session, Selection(), replace(other, of=session.photos[0].prediction))


def test_the_tab_builds(tmp_path: Path) -> None:
    with gr.Blocks():
        views = compare.build(
            gr.State(Session()), gr.State(Selection()), registry=ModelRegistry("everyday", runs=tmp_path)
        )
    assert [view.follows for view in views] == ["stage", "photo", "stage"]
