"""Distances to a bank's centroids: cases small enough to be worked out on paper."""

import numpy as np
import pytest

from ecenet.analysis.diagnostics.centroid_distance import bank_centroids, centroid_distances, prediction_consistency
from tests.support.hand_banks import EAST, HALF, LONG_EAST, NORTH, REFERENCE, WEST, both_stages
from tests.support.predictions import make_prediction
from tests.support.refusals import refused


def test_centroids_are_those_of_masks_that_are_large_and_right_enough() -> None:
    bank = both_stages(REFERENCE)
    right = bank_centroids(bank, min_iou=0.5)["ece"]
    assert right[1].tolist() == EAST, "the speck in the west does not count, and length does not either"
    assert right[2].tolist() == NORTH, "its failure in the east does not count"
    assert np.isnan(right[0]).all(), "no background in the bank"
    everything = bank_centroids(bank)["ece"]
    assert everything[2] == pytest.approx(np.sqrt([0.5, 0.5]))
    assert bank_centroids(bank, min_area=0.0)["ece"][1].tolist() == EAST, "two against one, at length 1 again"


def test_a_mask_that_cannot_be_judged_is_none_that_is_right() -> None:
    bank = both_stages([(0, 1, 0.5, float("nan"), EAST)])
    assert np.isnan(bank_centroids(bank, min_iou=0.1)["ece"]).all()
    assert bank_centroids(bank)["ece"][1].tolist() == EAST


def test_distances_to_the_own_centroid_and_to_the_nearest_other() -> None:
    centroids = np.array([EAST, NORTH, WEST], dtype=np.float32)
    vectors = np.array([LONG_EAST, HALF, WEST], dtype=np.float32)
    found = centroid_distances(vectors, np.array([0, 1, 0]), centroids)
    slant = 1 - np.sqrt(0.5)
    np.testing.assert_allclose(found.own, [0, slant, 2], atol=1e-6)
    np.testing.assert_allclose(found.rival, [1, slant, 0], atol=1e-6)
    assert found.rival_index.tolist() == [1, 0, 2]
    np.testing.assert_allclose(found.margin, [1, 0, -2], atol=1e-6)


def test_what_has_no_centroid_has_no_distance() -> None:
    centroids = np.array([EAST, [np.nan, np.nan], NORTH], dtype=np.float32)
    found = centroid_distances(np.array([EAST, EAST, EAST]), np.array([1, 3, 0]), centroids)
    assert np.isnan(found.own).tolist() == [True, True, False], "1 was never seen, 3 is painted"
    assert found.rival_index.tolist() == [0, 0, 2]
    alone = centroid_distances(np.array([EAST]), np.array([2]), centroids[1:])
    assert (alone.rival_index.tolist(), np.isnan(alone.rival).all()) == ([1], False)
    nobody = centroid_distances(np.array([EAST]), np.array([0]), centroids[:2])
    assert nobody.rival_index.tolist() == [-1]
    assert np.isnan(nobody.margin).all()


def test_the_classes_of_a_photo_the_largest_first() -> None:
    # The embedding of class k at stage number s is (k, s, 1, 0), see `make_prediction`: at ece (k, 0, 1, 0).
    prediction = make_prediction(np.array([[2, 2, 2, 1]], dtype=np.uint8))
    centroids = {"ece": np.array([[0, 0, 0, 1], [1, 0, 0, 0], [2, 0, 1, 0]], dtype=np.float32)}
    centroids["ece"][2] /= np.sqrt(5)
    cat, dog = prediction_consistency(prediction, centroids, stage="ece")
    assert (cat.class_index, cat.rival, dog.class_index, dog.rival) == (2, 1, 1, 2)
    assert cat.distance == pytest.approx(0, abs=1e-6)
    assert cat.rival_distance == pytest.approx(1 - 2 / np.sqrt(5))
    assert dog.distance == pytest.approx(1 - 1 / np.sqrt(2))
    assert dog.rival_distance == pytest.approx(1 - 3 / np.sqrt(10))
    assert dog.margin == pytest.approx(1 / np.sqrt(2) - 3 / np.sqrt(10)), "it lies nearer to the cats"
    assert [one.class_index for one in prediction_consistency(prediction, centroids, stage="ece", min_area=0.3)] == [2]
    with refused("unknown-choice", "stage", "ece", "'final'"):
        prediction_consistency(prediction, centroids, stage="final")
    with refused("wrong-weights", "width 4", 2, expected=4, got=2):
        prediction_consistency(prediction, {"ece": np.zeros((3, 2), np.float32)}, stage="ece")
