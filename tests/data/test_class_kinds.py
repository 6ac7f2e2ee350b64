"""Things before scenes, and what a photo has before both."""

import numpy as np
import pytest

from ecenet.data.class_kinds import is_scene, listed_order


@pytest.mark.parametrize("name", ["sky", "Road", "wall-brick", "sky-other", "dirt track", "background", " floor "])
def test_scenes(name: str) -> None:
    assert is_scene(name)


@pytest.mark.parametrize("name", ["cat", "car", "person", "potted plant", "book", "airplane", "skyline sign", ""])
def test_things_and_what_nobody_knows(name: str) -> None:
    assert not is_scene(name)


def test_the_photos_classes_come_first_then_things_then_scenes() -> None:
    names = ["sky", "cat", "wall", "dog", "grass", "bus"]
    area = np.array([0.2, 0.0, 0.0, 0.5, 0.3, 0.0])
    assert [names[k] for k in listed_order(names, area=area)] == ["dog", "grass", "sky", "cat", "bus", "wall"]


def test_no_class_is_lost_or_doubled() -> None:
    area = np.random.default_rng(0).choice([0.0, 0.1, 0.2], 30)
    names = [["road", "car", "tree"][k % 3] for k in range(30)]
    assert sorted(listed_order(names, area=area)) == list(range(30))
