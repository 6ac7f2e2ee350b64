"""Scenarios: what is to be otherwise, put together for one pass of the head."""

import numpy as np
import pytest

from ecenet.analysis.interventions.mask_edits import stage_mask
from ecenet.analysis.interventions.painted_class import PaintedClass
from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, Transplant, head_edits
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from tests.support.helpers import CLASS_NAMES, noise_image, small_model
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model(), half=False)


@pytest.fixture(scope="module")
def photo(predictor: Predictor) -> Prediction:
    return predictor.predict(noise_image(64, 48))


@pytest.fixture(scope="module")
def other(predictor: Predictor) -> Prediction:
    return predictor.predict(noise_image(64, 48, seed=5))


def again(predictor: Predictor, prediction: Prediction, scenario: Scenario) -> Prediction:
    return predictor.predict_features(prediction.features, head_edits(scenario, prediction))


def painted(name: str = "mine") -> PaintedClass:
    vectors = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    return PaintedClass(name=name, color=(1, 2, 3), method="mean", embeddings=vectors, weights_hash="h")


def test_an_empty_scenario_changes_nothing(predictor: Predictor, photo: Prediction) -> None:
    assert Scenario().changes_nothing
    same = again(predictor, photo, Scenario())
    for name, stage in photo.stages.items():
        assert np.array_equal(same.stages[name].mask_logits, stage.mask_logits)


def test_the_parts_act_together(predictor: Predictor, photo: Prediction, other: Prediction) -> None:
    scenario = Scenario(
        classes=(painted(),),
        without=(CLASS_NAMES[1],),
        masks={"stage4": stage_mask(photo, "stage4").swapped(0, 2)},
        knock_outs=KnockOuts(attention_off=("stage3",), updater_off=("stage2",), gate=0.5),
        transplant=Transplant(other, class_index=0, into=2),
    )
    assert not scenario.changes_nothing
    after = again(predictor, photo, scenario)
    assert after.class_names == [*CLASS_NAMES, "mine"]
    assert after.class_colors[-1] == [1, 2, 3]
    assert not (after.label_map == 1).any(), "left out"
    ece = after.stages["ece"].embeddings
    assert np.allclose(ece[2], other.stages["ece"].embeddings[0], atol=1e-6), "transplanted"
    assert np.allclose(ece[3], painted().embeddings[0], atol=1e-6), "joined"
    gate = after.stages["stage4"].gate
    assert gate is not None
    assert np.allclose(gate, 0.5)
    assert np.array_equal(after.stages["stage2"].embeddings, after.stages["stage3"].embeddings), "no updater"


def test_a_transplant_onto_itself_and_one_that_goes_nowhere_change_nothing(
    predictor: Predictor, photo: Prediction, other: Prediction
) -> None:
    for moved in (Transplant(photo, 1, 1), Transplant(other, 0, 2, t=0.0)):
        after = again(predictor, photo, Scenario(transplant=moved))
        assert np.allclose(after.final.mask_logits, photo.final.mask_logits, atol=1e-5)


def test_what_does_not_fit_is_refused(photo: Prediction) -> None:
    with refused("unknown-choice", "'zebra'"):
        head_edits(Scenario(without=("zebra",)), photo)
    with refused("conflicting-options"):
        head_edits(Scenario(without=tuple(CLASS_NAMES)), photo)
    assert head_edits(Scenario(without=tuple(CLASS_NAMES), classes=(painted(),)), photo).without == (0, 1, 2)


def test_only_the_asked_stages_are_worked_out(predictor: Predictor, photo: Prediction) -> None:
    edits = head_edits(Scenario(knock_outs=KnockOuts(diverse=False)), photo)
    whole = predictor.predict_features(photo.features, edits)
    part = predictor.predict_features(photo.features, edits, stages=("stage2",))
    assert list(part.stages) == ["stage2"]
    for name, stage in part.stages.items():
        assert np.array_equal(stage.label_map, whole.stages[name].label_map)
