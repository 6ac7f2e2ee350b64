"""Strokes become regions."""

from typing import Any, get_args

import numpy as np
import pytest

from ecenet.analysis.interventions.strokes import MAX_POINTS, MAX_RADIUS, Stroke, Tool, draw_strokes, read_stroke
from tests.support.refusals import refused

LABELS = np.zeros((40, 60), dtype=np.uint8)
LABELS[10:20, 10:20] = 1
LABELS[30:35, 40:50] = 1


def region(*strokes: Stroke) -> np.ndarray:
    return draw_strokes(strokes, {"final": LABELS}, size=(60, 40))


def test_a_box_holds_its_corners() -> None:
    box = region(Stroke("box", ((12, 5), (3, 8))))
    assert box.sum() == 10 * 4
    assert box[5:9, 3:13].all()


def test_a_line_is_as_wide_as_its_brush_and_as_long_as_its_way() -> None:
    line = region(Stroke("brush", ((10, 20), (40, 20)), radius=4))
    assert line[:, 25].sum() == pytest.approx(8, abs=1)
    assert line[20].sum() == pytest.approx(30 + 8, abs=2)
    dot = region(Stroke("brush", ((30, 20),), radius=5))
    assert dot.sum() == pytest.approx(np.pi * 5.5**2, rel=0.1), "eleven pixels wide"


def test_what_is_erased_is_gone_and_can_be_painted_again() -> None:
    box, rub = Stroke("box", ((0, 0), (59, 39))), Stroke("erase", ((30, 20),), radius=5)
    assert not region(box, rub)[20, 30]
    assert region(box, rub)[0, 0]
    assert region(box, rub, box).all()


def test_a_pick_takes_one_patch_of_the_class_that_lies_there() -> None:
    assert np.array_equal(region(Stroke("pick", ((12, 12),))), np.pad(np.ones((10, 10), bool), ((10, 20), (10, 40))))
    assert region(Stroke("pick", ((0, 0),))).sum() == (LABELS == 0).sum()
    assert not region(Stroke("pick", ((60, 5),))).any(), "beside the photo"


def test_each_pick_takes_its_patch_of_its_own_stages_mask() -> None:
    coarse = np.zeros_like(LABELS)
    coarse[:, 30:] = 1
    both = (Stroke("pick", ((40, 5),), stage="ece"), Stroke("pick", ((12, 12),)))
    expected = LABELS.astype(bool)
    expected[30:] = False
    expected[:, 30:] = True
    assert np.array_equal(draw_strokes(both, {"final": LABELS, "ece": coarse}, size=(60, 40)), expected)


def test_strokes_may_leave_the_photo() -> None:
    assert region(Stroke("brush", ((-500, 20), (500, 20)), radius=3))[20].all()
    assert not region(Stroke("box", ((-9, -9), (-3, -3)))).any()
    assert not region().any()


def test_a_stroke_is_read_as_it_was_sent() -> None:
    stroke = read_stroke({"tool": "brush", "points": [[1, 2.5], [3, 4]], "radius": 6})
    assert stroke == Stroke("brush", ((1.0, 2.5), (3.0, 4.0)), 6.0)
    forged = {"tool": "pick", "points": [[1, 2]], "stage": "stage1"}
    assert read_stroke(forged, stage="ece").stage == "ece", "the server's selection tells, not the browser"


GOOD: dict[str, Any] = {"tool": "brush", "points": [[1, 2]], "radius": 3}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"tool": "knife"}, ("unknown-choice", "tool", "'knife'")),
        ({"tool": None}, ("unknown-choice", "tool", "'None'")),
        ({"points": []}, ("invalid-value", "stroke", f"1 … {MAX_POINTS}")),
        ({"points": [[1, 2]] * (MAX_POINTS + 1)}, ("invalid-value", "stroke", f"1 … {MAX_POINTS}")),
        ({"points": [[1, 2, 3]]}, ("invalid-value", "stroke", f"1 … {MAX_POINTS}")),
        ({"points": [[1, float("nan")]]}, ("invalid-value", "stroke", f"1 … {MAX_POINTS}")),
        ({"points": [[1, 1e9]]}, ("invalid-value", "stroke", f"1 … {MAX_POINTS}")),
        ({"points": [["1", 2]]}, ("invalid-value", "stroke", f"1 … {MAX_POINTS}")),
        ({"points": "1,2"}, ("invalid-value", "stroke", f"1 … {MAX_POINTS}")),
        ({"radius": 0}, ("out-of-range", "brush", MAX_RADIUS)),
        ({"radius": 1e9}, ("out-of-range", "brush", MAX_RADIUS)),
        ({"radius": True}, ("out-of-range", "brush", MAX_RADIUS)),
        ({"radius": "3"}, ("out-of-range", "brush", MAX_RADIUS)),
    ],
)
def test_a_forged_stroke_is_refused(change: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refused(*refusal):
        read_stroke(GOOD | change)
    payloads: tuple[Any, ...] = (None, [], "stroke", 3)
    for payload in payloads:
        with refused("unknown-choice", "tool", ", ".join(get_args(Tool)), "'None'"):
            read_stroke(payload)
