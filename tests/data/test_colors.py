"""Class colours for data that brings none."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecenet.analysis.interventions.painted_class import PAINTED_COLORS
from ecenet.data.colors import FIRST, class_colors, distinct_colors, seen_by_all
from ecenet.data.labels import read_labels
from ecenet.data.usual_colors import OTHER_NAMES, USUAL_COLORS
from tests.support.helpers import least_distance


def test_greys_look_the_same_to_all() -> None:
    looks = seen_by_all(np.array([[0, 0, 0], [128, 128, 128], [255, 255, 255]]))
    assert np.allclose(looks, looks[:1], atol=0.5)
    assert looks[0, :, 0] == pytest.approx([0, 53.6, 100], abs=0.1), "lightness in CIE Lab"


def test_red_and_green_are_confused_by_who_lacks_a_cone() -> None:
    looks = seen_by_all(np.array([[200, 60, 0], [110, 110, 0]]))
    apart = np.linalg.norm(looks[:, 0] - looks[:, 1], axis=-1)
    assert apart[1] < apart[0] / 3
    assert apart[2] < apart[0] / 2


@pytest.mark.parametrize(("count", "least"), [(7, 16), (20, 16), (40, 10), (150, 2.3)])
def test_colours_keep_apart_for_everybody(count: int, least: float) -> None:
    """2.3 is what one just notices."""
    assert least_distance(list(distinct_colors(count))) >= least


def test_more_colours_begin_with_the_fewer_ones() -> None:
    assert distinct_colors(7) == FIRST
    assert distinct_colors(255)[:40] == distinct_colors(40)
    assert len(set(distinct_colors(255))) == 255


def test_classes_without_colours_get_distinct_ones(tmp_path: Path) -> None:
    classes = [{"name": "gizmo"}, {"name": "gadget", "color": [1, 2, 3]}, {"name": "widget"}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    labels = read_labels(tmp_path / "classes.json")
    assert labels.class_colors == [list(FIRST[0]), [1, 2, 3], list(FIRST[2])]


TOUCHING = [
    ("person", "chair"),
    ("person", "sofa"),
    ("person", "horse"),
    ("chair", "table"),
    ("cat", "sofa"),
    ("sky", "building"),
    ("sky", "tree"),
    ("sky", "mountain"),
    ("sky", "water"),
    ("wall", "floor"),
    ("wall", "ceiling"),
    ("wall", "painting"),
    ("rug", "floor"),
    ("road", "sidewalk"),
    ("road", "car"),
    ("tree", "grass"),
    ("tree", "building"),
    ("grass", "earth"),
    ("plant", "flower"),
    ("window", "curtain"),
]


def normal_distance(one: list[int], other: list[int]) -> float:
    """CIE Lab's, of two colours."""
    return float(np.linalg.norm(np.subtract(*seen_by_all(np.array([one, other]))[0])))


def test_everyday_classes_keep_apart_and_those_that_touch_far() -> None:
    names = [name for name in USUAL_COLORS if name != "background"]
    assert len(names) == 45
    colors = dict(zip(names, class_colors(names), strict=True))
    assert min(normal_distance(colors[a], colors[b]) for a in names for b in names if a != b) >= 19.9
    assert least_distance(list(colors.values())) >= 7.8, "to eyes that tell them apart worst"
    for a, b in TOUCHING:
        assert normal_distance(colors[a], colors[b]) >= 33, (a, b)
        assert least_distance([colors[a], colors[b]]) >= 13, (a, b)
    lightness = seen_by_all(np.array(list(colors.values())))[0, :, 0]
    assert lightness.min() >= 40, "none darkens what it marks"
    for color in PAINTED_COLORS:
        assert min(least_distance([color, other]) for other in colors.values()) >= 7.8


def test_a_class_has_its_colour_whatever_the_others_are() -> None:
    for names in (["road", "sky"], ["cat", "gizmo", "Sky ", "dog"], ["sky", "gizmo"]):
        at = [name.strip().lower() for name in names].index("sky")
        assert class_colors(names)[at] == list(USUAL_COLORS["sky"])
    red, green, blue = USUAL_COLORS["sky"]
    assert blue > green > red
    assert max(USUAL_COLORS["grass"]) == USUAL_COLORS["grass"][1]
    assert max(USUAL_COLORS["tree"]) == USUAL_COLORS["tree"][1]
    assert set(OTHER_NAMES.values()) <= set(USUAL_COLORS)


def test_two_names_of_one_class_do_not_share_a_colour() -> None:
    colors = class_colors(["couch", "sofa", "gizmo"])
    assert colors[0] == list(USUAL_COLORS["sofa"])
    assert least_distance(colors) >= 16


@pytest.mark.parametrize("count", [45, 150])
def test_classes_that_nobody_knows_stay_distinct_beside_usual_ones(count: int) -> None:
    names = [*list(USUAL_COLORS)[:20], *(f"gizmo {k}" for k in range(count - 20))]
    colors = class_colors(names)
    assert len({tuple(color) for color in colors}) == count
    assert least_distance(colors) >= 2.3, "what one just notices"
