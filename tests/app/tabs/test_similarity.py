"""Similarity maps and gates: common scales, what a click selects, what can be taken away."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from ecenet.analysis.diagnostics.similarity_maps import classes_seen, common_scale, overwritten
from ecenet.app.state.select_events import choose_place
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs import similarity
from ecenet.app.widgets.class_lists import class_choices
from ecenet.inference.export import stage_arrays
from tests.support.predictions import CLASS_NAMES, STAGES, make_prediction
from tests.support.web.toasts import toasted

FINAL = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
COARSE = np.array([[2, 2, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
PREDICTION = make_prediction(FINAL, stages={"ece": COARSE})


def session() -> Session:
    return Session(stage_names=tuple(STAGES)).with_photo(Photo("a/b photo", PREDICTION))


def places(page: str) -> list[tuple[str, str, str]]:
    return re.findall(r'data-stage="(\w+)" data-class="(\d+)" aria-pressed="(\w+)"', page)


def clicked(**data: Any) -> gr.EventData:
    return gr.EventData(None, data)


def test_maps_share_one_scale_that_outliers_do_not_decide() -> None:
    quiet, loud = np.zeros((20, 20)), np.full((20, 20), 2.0)
    loud[0, 0] = 1e6
    assert common_scale([quiet, loud]) == (0.0, 2.0)
    page = similarity.render_maps(PREDICTION, class_name="dog", stage="final", rows="stages")
    assert ">-5.0<" in page
    assert ">5.0<" in page


def test_what_is_rounded_to_zero_has_no_sign() -> None:
    prediction = make_prediction(FINAL, stages={"ece": COARSE})
    for stage in prediction.stages.values():
        stage.mask_logits[:] = -0.04
    page = similarity.render_maps(prediction, class_name="dog", stage="final", rows="stages")
    assert 'from 0.0 to 0.0"' in page
    assert ", 0.0 … 0.0<" in page
    assert "-0.0" not in page


def test_the_photos_classes_are_offered_first_then_things_then_scenes() -> None:
    names = ["sky", "dog", "road", "cat"]
    prediction = replace(PREDICTION, class_names=names)
    areas = np.array([0.0, 0.4, 0.6, 0.0])
    prediction = replace(prediction, stages=prediction.stages | {"final": replace(prediction.final, area=areas)})
    assert class_choices(prediction) == ["road", "dog", "cat", "sky"]


def test_one_class_is_shown_at_every_stage_or_every_class_at_one() -> None:
    by_stage = similarity.render_maps(PREDICTION, class_name="dog", stage="stage2", rows="stages")
    assert [(stage, k) for stage, k, _ in places(by_stage)] == [(stage, "1") for stage in STAGES]
    assert [stage for stage, _, pressed in places(by_stage) if pressed == "true"] == ["stage2"]

    by_class = similarity.render_maps(PREDICTION, class_name="cat", stage="stage2", rows="classes")
    # Largest first; cat was there at the coarse stage only.
    assert places(by_class) == [("stage2", "1", "false"), ("stage2", "0", "false"), ("stage2", "2", "true")]


def test_a_class_that_is_nowhere_is_shown_when_it_was_asked_for() -> None:
    nowhere = make_prediction(np.zeros((2, 2), dtype=np.uint8))
    assert classes_seen(nowhere, min_area=0.0, limit=9) == [0]
    page = similarity.render_maps(nowhere, class_name="cat", stage="final", rows="classes")
    assert [k for _, k, _ in places(page)] == ["0", "2"]


def test_a_gate_of_a_quarter_overwrites_three_quarters() -> None:
    shares = overwritten(PREDICTION)
    assert list(shares) == ["stage4", "stage3", "stage2", "stage1"], "neither ECE nor the final stage has a gate"
    assert all(np.allclose(share, 0.75) for share in shares.values())
    page = similarity.render_gates(PREDICTION, class_name="dog", stage="stage3")
    assert page.count(">75%<") == 3 * 4
    assert [place[:2] for place in places(page) if place[2] == "true"] == [("stage3", "1")]


def test_a_click_selects_class_and_stage() -> None:
    before = Selection(pixel=(1, 1))
    after = choose_place(session(), before, clicked(stage="stage2", class_index=2))
    assert after == Selection(stage="stage2", class_name="cat", pixel=(1, 1))
    with toasted("not-there-yet", "photo"):
        choose_place(Session(), before, clicked(stage="stage2", class_index=2))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [(one, "stage") for one in ({}, {"stage": "stage9", "class_index": 0}, {"stage": ["ece"], "class_index": 0})]
    + [({"stage": "ece", "class_index": k}, "class") for k in (3, -1, "1", 1.0, None, True)],
)
def test_a_forged_click_is_refused(data: dict[str, Any], wanted: str) -> None:
    with toasted("unknown-choice", wanted):
        choose_place(session(), Selection(), clicked(**data))


def test_what_is_no_object_is_an_empty_click() -> None:
    for data in (None, "text", [1, 2]):
        with toasted("unknown-choice", "stage", "None"):
            choose_place(session(), Selection(), SimpleNamespace(_data=data))  # type: ignore[arg-type]


def test_the_arrays_can_be_taken_away() -> None:
    path = similarity.save_arrays(session(), Selection())
    assert path.name == "a_b_photo-maps.npz"
    with np.load(path) as arrays:
        assert arrays["classes"].tolist() == CLASS_NAMES
        assert np.array_equal(arrays["similarity_stage3"], PREDICTION.stages["stage3"].similarity)
        assert set(arrays) == set(stage_arrays(PREDICTION))
        assert "gate_ece" not in arrays
