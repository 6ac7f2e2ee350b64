"""Which classes weights never saw, and which photos are drawn for them."""

import numpy as np

from ecenet.inference.weights import load_model
from ecenet.studies.fewshot import FewShotOptions, draw_support, pick_queries, unseen_classes
from tests.support.refusals import refused

VOC13 = ["background", "dog", "cat", "person", "horse", "sheep", "cow", "chair", "sofa", "car"]
VOC13 += ["pottedplant", "tvmonitor", "bottle"]
CAMVID = load_model("camvid").class_names


def names_of(indices: list[int], names: list[str]) -> list[str]:
    return [names[k] for k in indices]


def test_what_both_sets_have_is_left_out_by_name_and_by_sense() -> None:
    streets = names_of(unseen_classes(VOC13, CAMVID), CAMVID)
    # Cars are known by name; pedestrians and bicyclists are persons, trees much like potted plants.
    assert streets == ["sky", "building", "pole", "road", "pavement", "sign", "fence"]
    photos = names_of(unseen_classes(CAMVID, VOC13), VOC13)
    assert photos == ["dog", "cat", "horse", "sheep", "cow", "chair", "sofa", "tvmonitor", "bottle"]
    assert names_of(unseen_classes(["Potted plant"], ["tree", "sky"]), ["tree", "sky"]) == ["sky"]
    assert unseen_classes(VOC13, CAMVID, asked=("road", "sky")) == [3, 0], "as they were asked for"


def test_what_is_known_or_not_there_is_refused() -> None:
    with refused("unknown-choice", "sky", "'tree'"):
        unseen_classes(VOC13, CAMVID, asked=("sky", "tree"))
    with refused("unknown-choice", "'moon'"):
        unseen_classes(VOC13, CAMVID, asked=("moon",))
    with refused("not-enough-data", "sky, background"):
        unseen_classes(["Sky"], ["sky", "background"])


SHARES = np.array([0.0, 0.005, 0.2, 0.4, 0.6, 0.8, 0.995, 1.0])


def draw(**options: int) -> list[int]:
    number = options.pop("draw", 0)
    chosen = FewShotOptions(shots=(options.pop("shots", 3),), seed=options.pop("seed", 0))
    return draw_support(SHARES, options=chosen, class_index=options.pop("class_index", 1), draw=number, name="rock")


def test_a_draw_is_repeatable_and_holds_the_smaller_draws() -> None:
    assert draw() == draw()
    assert draw(shots=4)[:2] == draw(shots=2)
    assert set(draw(shots=4)) == {2, 3, 4, 5}, "neither without the class nor without anything else"
    for what in ("draw", "seed", "class_index"):
        assert len({tuple(draw(**{what: number})) for number in range(6)}) > 1, what
    with refused("not-enough-data", 5, "rock", 4):
        draw(shots=5)


def test_queries_hold_the_class_and_are_spread_evenly() -> None:
    assert pick_queries(SHARES, options=FewShotOptions(limit=3), name="rock") == [2, 4, 7]
    assert pick_queries(SHARES, options=FewShotOptions(limit=None), name="rock") == [2, 3, 4, 5, 6, 7]
    assert pick_queries(SHARES, options=FewShotOptions(limit=99), name="rock") == [2, 3, 4, 5, 6, 7]
    with refused("not-enough-data", "rock"):
        pick_queries(np.zeros(3), options=FewShotOptions(), name="rock")
