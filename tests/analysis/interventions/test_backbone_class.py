"""A painted class that the bare backbone finds: where it wins, and that the head stays as it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecenet.analysis.interventions.backbone_class import SHARPNESS, paint_backbone_class, with_backbone_classes
from ecenet.analysis.interventions.painted_class import PaintedClass, load_class, save_class
from ecenet.analysis.interventions.painting import paint_class
from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, predict_scenario
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.studies.finders import backbone_features, prototype_finder
from tests.support.helpers import CLASS_NAMES, noise_image
from tests.support.predictions import make_prediction
from tests.support.refusals import refused

BLUE = (0, 0, 255)


@pytest.fixture(scope="module")
def other(predictor: Predictor) -> Prediction:
    return predictor.predict(noise_image(80, 60, seed=3))


def box(prediction: Prediction, *, rows: slice, columns: slice) -> np.ndarray:
    region = np.zeros(prediction.label_map.shape, dtype=bool)
    region[rows, columns] = True
    return region


@pytest.fixture(scope="module")
def region(prediction: Prediction) -> np.ndarray:
    return box(prediction, rows=slice(0, 40), columns=slice(10, 60))


@pytest.fixture(scope="module")
def found(prediction: Prediction, region: np.ndarray) -> PaintedClass:
    return paint_backbone_class([(prediction.features, region)], name="found", color=BLUE, weights_hash="h")


def by_hand(*prototypes: list[list[float]]) -> tuple[Prediction, list[PaintedClass]]:
    """Two pixels of class 1, each a cell: the backbone says east of the first and north of the second."""
    prediction = make_prediction(np.array([[1, 1]], dtype=np.uint8))
    tensors = [torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])]
    prediction = replace(prediction, features=replace(prediction.features, tensors=tensors))
    classes = [
        PaintedClass(f"new {i}", BLUE, "backbone", np.array(pair, dtype=np.float32), "h")
        for i, pair in enumerate(prototypes)
    ]
    return prediction, classes


def test_it_wins_where_its_prototype_is_nearer_and_changes_nothing_elsewhere() -> None:
    # East lies 1 − 0.6 nearer to the thing, north 0.8 nearer to the rest.
    prediction, classes = by_hand([[1, 0], [0.6, 0.8]])
    after = with_backbone_classes(prediction, classes)
    assert after.class_names == [*prediction.class_names, "new 0"]
    assert after.class_colors[-1] == list(BLUE)
    for name, stage in after.stages.items():
        before = prediction.stages[name]
        assert stage.label_map.tolist() == [[3, 1]]
        assert stage.area.tolist() == [0, 0.5, 0, 0.5]
        assert stage.mask_logits[3] == pytest.approx(np.array([[5 + 0.4 * SHARPNESS, 5 - 0.8 * SHARPNESS]]), abs=1e-4)
        assert stage.similarity[3] == pytest.approx(np.array([[0.4, -0.8]]), abs=1e-6)
        # The confidence of 0.8 means that all weights together are 1.25 times that of the highest.
        lead, behind = np.exp(0.4 * SHARPNESS), np.exp(-0.8 * SHARPNESS)
        sure = [lead / (1.25 + lead), 1 / (1.25 + behind)]
        assert stage.confidence[0] == pytest.approx(sure, abs=1e-3)
        assert stage.mean_confidence[[3, 1]] == pytest.approx(sure, abs=1e-3)
        assert np.isnan(stage.mean_confidence[[0, 2]]).all()
        assert np.isnan(stage.embeddings[3]).all()
        assert np.array_equal(stage.embeddings[:3], before.embeddings)
        assert np.array_equal(stage.mask_logits[:3], before.mask_logits)
    assert after.stages["ece"].gate is None
    assert with_backbone_classes(prediction, []) is prediction


def test_of_two_the_one_with_the_larger_lead_wins() -> None:
    prediction, classes = by_hand([[1, 0], [0.6, 0.8]], [[1, 0], [0, 1]])
    assert with_backbone_classes(prediction, classes).label_map.tolist() == [[4, 1]], "0.4 and 1"
    assert with_backbone_classes(prediction, classes[::-1]).label_map.tolist() == [[3, 1]]


def test_it_is_found_where_the_measured_finder_finds_it(
    predictor: Predictor, prediction: Prediction, other: Prediction, region: np.ndarray, found: PaintedClass
) -> None:
    features = prediction.features
    find = prototype_finder(predictor, [(features, region)], [(features, ~region)], deepest=backbone_features)
    for photo in (prediction, other):
        expected = find(photo.features)
        assert 0 < expected.mean() < 1
        after = predict_scenario(predictor, photo, Scenario(classes=(found,)))
        for name, stage in after.stages.items():
            assert np.array_equal(stage.label_map == len(CLASS_NAMES), expected)
            assert np.array_equal(stage.label_map[~expected], photo.stages[name].label_map[~expected])


def test_several_photos_are_painted_on(prediction: Prediction, other: Prediction, region: np.ndarray) -> None:
    there = box(other, rows=slice(0, 20), columns=slice(0, 20))
    painted = [(prediction.features, region), (other.features, there)]
    both, *single = (
        paint_backbone_class(regions, name="a", color=BLUE, weights_hash="h").embeddings
        for regions in (painted, painted[:1], painted[1:])
    )
    assert both == pytest.approx(np.mean(single, axis=0), abs=1e-5), "each photo counts as much"


def test_it_competes_beside_classes_that_the_head_knows(
    predictor: Predictor, prediction: Prediction, region: np.ndarray, found: PaintedClass
) -> None:
    own = paint_class(predictor, [(prediction.features, region)], name="own", color=(1, 2, 3))
    alone = predict_scenario(predictor, prediction, Scenario(classes=(own,), knock_outs=KnockOuts(diverse=False)))
    scenario = Scenario(classes=(found, own), without=(CLASS_NAMES[0],), knock_outs=KnockOuts(diverse=False))
    after = predict_scenario(predictor, prediction, replace(scenario, without=()), stages=("stage2", "final"))
    assert after.class_names == [*CLASS_NAMES, "own", "found"]
    assert list(after.stages) == ["stage2", "final"]
    for name, stage in after.stages.items():
        assert np.array_equal(stage.mask_logits[:-1], alone.stages[name].mask_logits)
        assert stage.area.sum() == pytest.approx(1)
    assert not (predict_scenario(predictor, prediction, scenario).label_map == 0).any(), "left out"


def test_it_is_saved_and_opened(found: PaintedClass, tmp_path: Path) -> None:
    save_class(found, tmp_path / "found.safetensors")
    opened = load_class(tmp_path / "found.safetensors", weights_hash="h")
    assert (opened.method, opened.in_head) == ("backbone", False)
    assert np.array_equal(opened.embeddings, found.embeddings)


def test_what_cannot_be_found_is_refused(
    predictor: Predictor, prediction: Prediction, region: np.ndarray, found: PaintedClass
) -> None:
    features = prediction.features
    whole = np.ones_like(region)
    refusals: tuple[tuple[list[Any], str, tuple[Any, ...]], ...] = (
        ([(features, region)], " ", ("missing-value", "name")),
        ([], "a", ("missing-value", "painted region")),
        ([(features, whole)], "a", ("empty-region", "unpainted")),
        ([(features, ~whole)], "a", ("empty-region",)),
    )
    for regions, name, refusal in refusals:
        with refused(*refusal):
            paint_backbone_class(regions, name=name, color=BLUE, weights_hash="h")
    with refused("name-taken", "'cat'"):
        with_backbone_classes(prediction, [replace(found, name="cat")])
    for wrong in (found.embeddings[:1], found.embeddings[:, :8]):
        with refused("wrong-weights", "'found'", "×".join(map(str, wrong.shape)), got=wrong.shape):
            with_backbone_classes(prediction, [replace(found, embeddings=wrong)])
    with refused("conflicting-options"):
        predict_scenario(predictor, prediction, Scenario(classes=(found,), without=tuple(CLASS_NAMES)))
