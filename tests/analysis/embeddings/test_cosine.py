"""Distances, neighbours and the judgement of a picture, against numbers worked out by hand."""

import numpy as np
import pytest

from ecenet.analysis.embeddings.cosine import (
    MAX_JUDGED,
    centroid_similarity,
    cosine_distances,
    nearest,
    neighbors_of,
    score_projection,
    unit_vectors,
)

AXES = np.array([[2, 0], [1, 1], [0, 3], [-1, 0]], dtype=np.float32)
"""At 0, 45, 90 and 180 degrees; their lengths must not count."""
HALF = 1 - np.sqrt(0.5)


def circle(degrees: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_cosine_distances_are_those_of_the_angles() -> None:
    unit = unit_vectors(AXES)
    np.testing.assert_allclose(cosine_distances(unit[:1], unit)[0], [0, HALF, 1, 2], atol=1e-6)


def test_a_zero_vector_is_at_distance_one_of_everything() -> None:
    unit = unit_vectors(np.array([[0, 0], [1, 0]]))
    np.testing.assert_allclose(cosine_distances(unit, unit), [[1, 1], [1, 0]])


def test_neighbors_are_the_others_nearest_first() -> None:
    rows, distances = neighbors_of(0, unit_vectors(AXES), count=2)
    assert rows.tolist() == [1, 2]
    np.testing.assert_allclose(distances, [HALF, 1], atol=1e-6)
    assert neighbors_of(0, unit_vectors(AXES), count=9)[0].tolist() == [1, 2, 3], "there are no more"
    assert len(neighbors_of(0, unit_vectors(AXES[:1]), count=3)[0]) == 0


def test_identical_points_are_neighbors_and_none_is_its_own() -> None:
    rows, distances = neighbors_of(1, unit_vectors(np.ones((4, 3))), count=3)
    assert rows.tolist() == [0, 2, 3]
    np.testing.assert_allclose(distances, 0, atol=1e-6)


def test_nearest_in_parts_equals_sorting_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = unit_vectors(np.random.default_rng(0).normal(size=(50, 6)))
    monkeypatch.setattr("ecenet.analysis.embeddings.cosine.CHUNK_ENTRIES", 350)
    rows, distances = nearest(unit, unit, count=5)
    every = cosine_distances(unit, unit)
    np.testing.assert_array_equal(rows, np.argsort(every, axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :5], atol=1e-6)
    assert rows[:, 0].tolist() == list(range(50)), "each finds itself first"


def test_a_picture_that_is_the_original_is_trusted_entirely_and_a_shuffled_one_is_not() -> None:
    points = circle(np.cumsum(np.linspace(3, 9, 30)))  # no two gaps are alike
    classes = np.arange(30) // 15
    assert score_projection(points, points, classes).trustworthiness == pytest.approx(1)
    shuffled = np.random.default_rng(0).permutation(points)
    trust = score_projection(points, shuffled, classes).trustworthiness
    assert trust is not None
    assert trust < 0.7


def test_silhouette_is_that_of_the_original_space_whatever_the_picture_shows() -> None:
    points = circle(np.array([0, 0, 90, 90]))
    apart, mixed = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    one_place = np.zeros((4, 2))
    assert score_projection(points, one_place, apart).silhouette == pytest.approx(1)
    # Of each point: 0.5 to the others of the other class, 1 to the one of its own.
    assert score_projection(points, one_place, mixed).silhouette == pytest.approx(-0.5)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_points_are_not_judged(count: int) -> None:
    quality = score_projection(np.ones((count, 3)), np.zeros((count, 2)), np.arange(count))
    assert (quality.trustworthiness, quality.silhouette) == (None, None)


def test_one_class_has_no_silhouette() -> None:
    points = circle(np.cumsum(np.arange(9)))
    quality = score_projection(points, points, np.zeros(9, int))
    assert quality.silhouette is None
    assert quality.trustworthiness == pytest.approx(1)


def test_many_points_are_judged_by_some_and_that_is_told() -> None:
    points = np.random.default_rng(0).normal(size=(MAX_JUDGED + 500, 3))
    assert score_projection(points, points, np.arange(len(points)) % 2).judged == MAX_JUDGED


def test_centroids_count_directions_and_not_lengths() -> None:
    vectors = np.array([[100, 0], [0, 1], [0, 7]], dtype=np.float32)
    classes, similarity = centroid_similarity(vectors, np.array([4, 4, 9]))
    assert classes.tolist() == [4, 9]
    np.testing.assert_allclose(similarity, [[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]], atol=1e-6)
    assert centroid_similarity(vectors[:0], np.zeros(0, int))[1].shape == (0, 0)
