"""Embeddings carried from photo to photo, and what an edit changed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecenet.analysis.diagnostics.comparison import compare, describe_changes
from ecenet.analysis.interventions.transplant import transplant
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.model.edits import AddedClass, HeadEdits
from tests.support.helpers import noise_image, small_model
from tests.support.predictions import make_prediction
from tests.support.refusals import refused

STAGES = ["ece", "stage4", "stage3", "stage2", "stage1", "final"]


@pytest.fixture(scope="module")
def photos(predictor: Predictor) -> tuple[Prediction, Prediction]:
    return predictor.predict(noise_image(97, 61)), predictor.predict(noise_image(64, 64, seed=1))


def assert_same(one: Prediction, other: Prediction) -> None:
    for name, stage in one.stages.items():
        for part in ("label_map", "similarity", "mask_logits", "embeddings"):
            assert np.array_equal(getattr(stage, part), getattr(other.stages[name], part)), (name, part)


@pytest.mark.parametrize("stage", STAGES)
def test_a_transplant_onto_itself_changes_nothing(
    predictor: Predictor, photos: tuple[Prediction, Prediction], stage: str
) -> None:
    own = photos[0]
    for t in (0.0, 1.0):
        edits = HeadEdits(stages={stage: transplant(own, own, class_index=1, stage=stage, t=t)})
        assert_same(own, predictor.predict_features(own.features, edits))


@pytest.mark.parametrize("stage", STAGES)
def test_an_interpolation_begins_at_the_photos_own_embedding(
    predictor: Predictor, photos: tuple[Prediction, Prediction], stage: str
) -> None:
    source, target = photos
    edits = HeadEdits(stages={stage: transplant(source, target, class_index=1, stage=stage, t=0)})
    assert_same(target, predictor.predict_features(target.features, edits))


@pytest.mark.parametrize("half", [False, True])
def test_a_transplant_takes_the_place_of_one_class_at_its_stage(half: bool) -> None:
    predictor = Predictor(small_model(), device="cpu", half=half)
    source, target = predictor.predict(noise_image(97, 61)), predictor.predict(noise_image(64, 64, seed=1))
    edits = HeadEdits(stages={"ece": transplant(source, target, class_index=1)})
    after = predictor.predict_features(target.features, edits)
    e0 = after.stages["ece"].embeddings
    assert np.array_equal(e0[1], source.stages["ece"].embeddings[1])
    assert np.array_equal(e0[[0, 2]], target.stages["ece"].embeddings[[0, 2]])
    assert not np.array_equal(after.final.mask_logits, target.final.mask_logits)


def test_a_transplant_lies_on_the_line_between_the_two_and_may_be_into_another_class(
    photos: tuple[Prediction, Prediction],
) -> None:
    source, target = photos
    edit = transplant(source, target, class_index=1, into=2, stage="stage3", t=0.25)
    # What enters stage 3 is what left stage 4.
    giving, taking = (prediction.stages["stage4"].embeddings for prediction in photos)
    assert list(edit.embeddings) == [2]
    np.testing.assert_allclose(edit.embeddings[2].numpy(), 0.75 * taking[2] + 0.25 * giving[1], rtol=1e-6)


def test_a_transplant_that_cannot_be_is_refused(photos: tuple[Prediction, Prediction]) -> None:
    source, target = photos
    with refused("unknown-choice", "ece", "'stage9'"):
        transplant(source, target, class_index=1, stage="stage9")
    with refused("unknown-choice", "0 … 2 and 0 … 2", "1 and 3"):
        transplant(source, target, class_index=1, into=3)
    for t in (-0.1, 1.1, float("nan")):
        with refused("out-of-range", "0 … 1", t):
            transplant(source, target, class_index=1, t=t)
    with refused("size-mismatch", "4 and 16", expected=16, got=4):
        transplant(make_prediction(np.zeros((4, 4), dtype=np.uint8)), target, class_index=1)


BEFORE = np.array([[0, 0, 1, 1], [2, 2, 1, 1]], dtype=np.uint8)
AFTER = np.array([[0, 1, 1, 1], [2, 0, 1, 0]], dtype=np.uint8)


def test_a_comparison_counts_what_changed_at_every_stage() -> None:
    before = make_prediction(BEFORE)
    after = make_prediction(AFTER, stages={"ece": BEFORE})
    changes = compare(before, after)
    assert list(changes.stages) == STAGES
    assert changes.mean_iou is None
    assert changes.stages["ece"].changed_share == 0
    assert changes.stages["ece"].lost.tolist() == [0, 0, 0]

    final = changes.stages["final"]
    assert final.changed.tolist() == [[False, True, False, False], [False, True, False, True]]
    assert final.changed_share == 3 / 8
    assert final.area.tolist() == [1 / 8, 0, -1 / 8]
    assert final.lost.tolist() == [1, 1, 1]
    assert final.gained.tolist() == [2, 1, 0]
    np.testing.assert_allclose(final.cosine_distance, [0, 0, 0], atol=1e-6)
    # Logits are 5 where a class is predicted and -5 elsewhere.
    assert final.similarity[:, 0, 1].tolist() == [-10, 10, 0]
    assert final.similarity[:, 0, 0].tolist() == [0, 0, 0]


def test_a_comparison_is_told_class_by_class() -> None:
    before, after = make_prediction(BEFORE), make_prediction(AFTER, stages={"ece": BEFORE})
    truth = np.array([[0, 0, 1, 1], [2, 2, 1, 255]], dtype=np.uint8)
    reports = describe_changes(compare(before, after, truth=truth), after)
    assert [one["stage"] for one in reports] == STAGES
    final = json.loads(json.dumps(reports[-1]))
    assert final["changed_share"] == 3 / 8
    assert (final["mean_iou_before"], final["mean_iou_after"]) == (1, pytest.approx((1 / 3 + 3 / 4 + 1 / 2) / 3))
    assert [(one["class"], one["lost"], one["gained"]) for one in final["classes"]] == [
        ("background", 1, 2),
        ("dog", 1, 1),
        ("cat", 1, 0),
    ]
    cat = final["classes"][-1]
    assert (cat["area_before"], cat["area_after"], cat["embedding_moved"]) == (2 / 8, 1 / 8, pytest.approx(0, abs=1e-6))
    assert describe_changes(compare(before, before), before)[0]["mean_iou_after"] is None


def test_cosine_distances_are_those_of_the_embeddings() -> None:
    before = make_prediction(BEFORE)
    turned = replace(before.final, embeddings=np.array([[0, 0, 1, 0], [0, 3, 0, 0], [-2, -5, -1, 0]], np.float32))
    after = replace(before, stages=before.stages | {"final": turned})
    # The embeddings before are (0, 5, 1, 0), (1, 5, 1, 0) and (2, 5, 1, 0).
    expected = [1 - 1 / 26**0.5, 1 - 5 / 27**0.5, 2]
    np.testing.assert_allclose(compare(before, after).stages["final"].cosine_distance, expected, atol=1e-6)


def test_a_class_that_one_prediction_has_only_counts_as_absent_in_the_other(
    predictor: Predictor, photos: tuple[Prediction, Prediction]
) -> None:
    before = photos[0]
    added = AddedClass("new", (1, 2, 3), torch.from_numpy(before.stages["ece"].embeddings[:1] + 1))
    after = predictor.predict_features(before.features, HeadEdits(added=(added,)))
    for one, other, sign in ((before, after, 1), (after, before, -1)):
        changes = compare(one, other)
        assert changes.class_names == ["sky", "grass", "cat", "new"]
        final = changes.stages["final"]
        assert len(final.area) == len(final.lost) == len(final.gained) == 4
        assert final.area[3] == sign * after.final.area[3]
        assert final.area.sum() == pytest.approx(0)
        assert np.isnan(final.cosine_distance[3])
        assert np.isfinite(final.cosine_distance[:3]).all()
        assert len(final.similarity) == 3


@pytest.mark.parametrize(("pixel", "unseen"), [(0, ["new"]), (3, [])])
def test_a_class_that_gets_no_pixel_is_named(pixel: int, unseen: list[str]) -> None:
    before = make_prediction(BEFORE)
    label_map = BEFORE.copy()
    label_map[0, 0] = pixel
    final = replace(
        before.final,
        label_map=label_map,
        embeddings=np.ones((4, 4), dtype=np.float32),
        area=np.bincount(label_map.ravel(), minlength=4) / label_map.size,
    )
    after = replace(before, class_names=[*before.class_names, "new"], stages={"final": final})
    assert compare(before, after).unseen == unseen
    assert compare(before, before).unseen == []


def test_a_truth_tells_by_how_much_the_mean_iou_changed() -> None:
    truth = np.array([[0, 0, 1, 1], [2, 2, 1, 255]], dtype=np.uint8)
    before, after = make_prediction(BEFORE), make_prediction(AFTER, stages={"ece": BEFORE})
    change = compare(before, after, truth=truth).mean_iou
    assert change is not None
    # Before all is right; after: sky 1 of 3, dog 3 of 4, cat 1 of 2.
    np.testing.assert_allclose(change, [0, *[(1 / 3 + 3 / 4 + 1 / 2) / 3 - 1] * 5], atol=1e-12)


def test_what_cannot_be_compared_is_refused() -> None:
    before = make_prediction(BEFORE)
    with refused("wrong-data"):
        compare(before, make_prediction(BEFORE.T))
    with refused("wrong-classes"):
        compare(before, replace(before, class_names=["a", "b", "c"]))
    with refused("size-mismatch", "ground-truth", "4×2", "2×4", expected=(4, 2), got=(2, 4)):
        compare(before, before, truth=BEFORE.T)
    with refused("unknown-mask-value", "0 … 2", "value of 3"):
        compare(before, before, truth=BEFORE + 1)
    with refused("unknown-mask-value", "0 … 2", 255):
        compare(before, before, truth=np.full_like(BEFORE, 255))
