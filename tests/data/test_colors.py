"""Class colours for data that brings none."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecenet.data.colors import FIRST, distinct_colors, seen_by_all
from ecenet.data.labels import read_labels
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
    classes = [{"name": "sky"}, {"name": "road", "color": [1, 2, 3]}, {"name": "car"}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    labels = read_labels(tmp_path / "classes.json")
    assert labels.class_colors == [list(FIRST[0]), [1, 2, 3], list(FIRST[2])]
