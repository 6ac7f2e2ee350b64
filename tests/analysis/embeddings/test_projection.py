"""Points and projections: pure functions on predictions and arrays."""

from typing import Any

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from ecenet.analysis.embeddings.copies import equal_rows, first_equal
from ecenet.analysis.embeddings.points import embedding_points
from ecenet.analysis.embeddings.projection import (
    MIN_POINTS,
    ProjectionOptions,
    place,
    principal_axes,
    project,
)
from ecenet.analysis.embeddings.umap_worker import UmapWorker
from tests.support.fitters import FailingFitter, ScriptedFitter, wait_until_ready
from tests.support.predictions import make_prediction
from tests.support.refusals import refused

PCA = ProjectionOptions(method="PCA")
UMAP = ProjectionOptions()
TSNE = ProjectionOptions(method="t-SNE", perplexity=5)


def test_points_are_the_classes_of_the_final_mask_at_every_stage_that_makes_embeddings() -> None:
    half = np.array([[0, 0], [2, 2]], dtype=np.uint8)
    points = embedding_points([make_prediction(half), make_prediction(half)])

    assert len(points) == 2 * 2 * 5, "images × classes × (ece and four SAU stages)"
    assert set(points.class_index) == {0, 2}
    assert "final" not in points.stage, "final has the embeddings of stage1: it would be drawn twice"
    first = (points.image == 0) & (points.class_index == 0)
    assert points.stage[first].tolist() == ["ece", "stage4", "stage3", "stage2", "stage1"]


def test_point_carries_the_vector_area_and_confidence_of_its_stage() -> None:
    prediction = make_prediction(np.array([[0, 1], [1, 1]], dtype=np.uint8))
    points = embedding_points([prediction])
    row = int(np.flatnonzero((points.stage == "stage2") & (points.class_index == 1))[0])

    np.testing.assert_array_equal(points.vectors[row], prediction.stages["stage2"].embeddings[1])
    assert points.area[row] == prediction.stages["stage2"].area[1] == pytest.approx(0.75)
    assert points.confidence[row] == prediction.stages["stage2"].mean_confidence[1]


def test_small_regions_make_no_points() -> None:
    label_map = np.zeros((20, 20), dtype=np.uint8)
    label_map[0, 0] = 1
    assert set(embedding_points([make_prediction(label_map)]).class_index) == {0}
    assert set(embedding_points([make_prediction(label_map)], min_area=0.0).class_index) == {0, 1}


def test_no_photos_make_no_points() -> None:
    assert len(embedding_points([])) == 0


def test_a_point_is_found_by_photo_stage_and_class() -> None:
    half = np.array([[0, 0], [2, 2]], dtype=np.uint8)
    points = embedding_points([make_prediction(half), make_prediction(half)])
    row = points.find(image=1, stage="stage3", class_index=2)
    assert row is not None
    assert (points.image[row], points.stage[row], points.class_index[row]) == (1, "stage3", 2)
    assert points.find(image=1, stage="stage3", class_index=1) is None
    assert points.find(image=2, stage="stage3", class_index=2) is None


def random_vectors(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, MIN_POINTS - 1])
def test_too_few_points_fall_back_to_pca_and_say_so(count: int, dimensions: int) -> None:
    fitter = ScriptedFitter()
    result = project(random_vectors(count), ProjectionOptions(dimensions=dimensions), fitter=fitter)
    assert result.coordinates.shape == (count, dimensions)
    assert np.isfinite(result.coordinates).all()
    assert result.method == "PCA"
    assert str(count) in result.note
    assert "dd another photo" in result.note
    assert not fitter.fitted


def test_pca_keeps_the_distances_of_points_in_a_plane() -> None:
    plane = np.random.default_rng(0).normal(size=(10, 2))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0][:2]
    flat = project(plane @ rotation, PCA, fitter=ScriptedFitter()).coordinates

    def distances(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[:, None] - points[None], axis=2)

    np.testing.assert_allclose(distances(flat), distances(plane), atol=1e-9)


def test_pca_places_points_where_it_would_have_fitted_them() -> None:
    vectors = random_vectors(20)
    result = project(vectors, PCA, fitter=ScriptedFitter())
    again = place(result, vectors[3:5], fitter=ScriptedFitter())
    assert again is not None
    np.testing.assert_allclose(again, result.coordinates[3:5])


def test_axes_that_the_data_does_not_span_are_zero() -> None:
    line = np.outer(np.arange(5.0), [3, 4])
    np.testing.assert_allclose(
        principal_axes(line, dimensions=3).directions, [[0.6, 0.8], [0.0, 0.0], [0.0, 0.0]], atol=1e-9
    )
    assert np.ptp(project(np.ones((5, 4)), PCA, fitter=ScriptedFitter()).coordinates) == pytest.approx(0, abs=1e-9)


def test_equal_rows_are_those_with_the_same_numbers_at_the_same_stage() -> None:
    vectors = np.array([[0, 1], [2, 3], [-0.0, 1], [2, 3], [2, 3.0001]], np.float32)
    assert first_equal(vectors, None).tolist() == [0, 1, 0, 1, 4]
    assert first_equal(vectors, np.array(["a", "a", "b", "a", "a"])).tolist() == [0, 1, 2, 1, 4]
    assert equal_rows(vectors[:2], vectors[1:], stages=None).tolist() == [1, 0]
    assert equal_rows(vectors[:2], vectors[4:], stages=None).tolist() == [-1, -1]
    assert first_equal(np.zeros((0, 3), np.float32), None).tolist() == []


def test_copies_are_one_point_for_the_fit_and_lie_in_one_place() -> None:
    vectors, fitter = random_vectors(MIN_POINTS), ScriptedFitter()
    alone = project(vectors, UMAP, fitter=fitter)
    often = project(np.concatenate([vectors[::-1], vectors, vectors]), UMAP, fitter=fitter)
    assert fitter.fitted == [MIN_POINTS, MIN_POINTS]
    np.testing.assert_array_equal(often.coordinates[MIN_POINTS : 2 * MIN_POINTS], alone.coordinates)
    np.testing.assert_array_equal(often.coordinates[:MIN_POINTS], alone.coordinates[::-1])
    few = project(np.tile(vectors[:4], (20, 1)), UMAP, fitter=fitter)
    assert (few.method, few.coordinates.shape) == ("PCA", (80, 2))
    assert "needs at least 16 points but there are only 4" in few.note
    np.testing.assert_allclose(few.coordinates[:4], project(vectors[:4], PCA, fitter=fitter).coordinates, atol=1e-9)


def islands(coordinates: np.ndarray) -> int:
    """Groups of points that no chain of steps connects, each at most thrice as far as points lie from their nearest."""
    distances = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=2)
    nearest = np.median(np.sort(distances, axis=1)[:, 1])
    return int(connected_components(distances <= 3 * nearest)[0])


def test_two_neighbours_make_no_clusters_of_points_that_have_none(umap: UmapWorker) -> None:
    wait_until_ready(umap)
    vectors = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    torn = umap.fit(vectors, ProjectionOptions(neighbors=2))
    assert torn is not None
    assert islands(torn[0]) > 10, "the test can tell"
    shown = project(vectors, ProjectionOptions(neighbors=2), fitter=umap)
    assert islands(shown.coordinates) == 1
    assert "instead of 2" in shown.caution


def test_enough_points_use_pca_until_umap_is_there() -> None:
    result = project(random_vectors(MIN_POINTS), UMAP, fitter=ScriptedFitter(ready=False))
    assert result.method == "PCA"
    assert result.waiting
    assert "still loading" in result.note


def test_a_method_that_fails_leaves_a_picture_and_its_reason() -> None:
    result = project(random_vectors(MIN_POINTS), TSNE, fitter=FailingFitter())
    assert result.method == "PCA"
    assert "no such luck" in result.note
    assert not result.waiting, "it would fail again"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"method": "MDS"}, ("unknown-choice", "UMAP, t-SNE or PCA", "'MDS'")),
        ({"dimensions": 4}, ("unknown-choice", "2 or 3 dimensions", "'4'")),
        ({"neighbors": 1}, ("out-of-range", "neighbors", "2 … 200", "'1'")),
        ({"neighbors": None}, ("out-of-range", "neighbors", "2 … 200", "'None'")),
        ({"min_dist": float("nan")}, ("out-of-range", "min dist", "0 … 1", "'nan'")),
        ({"min_dist": 1.5}, ("out-of-range", "min dist", "0 … 1", "'1.5'")),
        ({"perplexity": True}, ("out-of-range", "perplexity", "2 … 200", "'True'")),
        ({"seed": -1}, ("out-of-range", "seed", f"0 … {2**31 - 1}", "'-1'")),
        ({"seed": "0"}, ("out-of-range", "seed", f"0 … {2**31 - 1}", "'0'")),
    ],
)
def test_options_out_of_range_are_refused(change: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    with refused(*refusal):
        ProjectionOptions(**change).checked()
    from_the_page: dict[str, Any] = {"seed": 3.0, "neighbors": 4.0}
    assert ProjectionOptions(**from_the_page).checked() == ProjectionOptions(seed=3, neighbors=4)


@pytest.fixture
def groups() -> np.ndarray:
    """Twenty points each in two far directions."""
    return np.repeat(np.eye(8)[:2], 20, axis=0) + np.random.default_rng(0).normal(scale=0.05, size=(40, 8))


def center_distance(coordinates: np.ndarray) -> float:
    """Of the two groups, in units of their own spread."""
    left, right = coordinates[:20], coordinates[20:]
    spread = max(np.linalg.norm(part - part.mean(0), axis=1).mean() for part in (left, right))
    return float(np.linalg.norm(left.mean(0) - right.mean(0)) / spread)


@pytest.mark.parametrize(
    "options",
    [UMAP, TSNE, ProjectionOptions(dimensions=3)],
    ids=lambda options: f"{options.method}{options.dimensions}",
)
def test_two_far_groups_are_kept_apart_and_the_picture_repeats_itself(
    umap: UmapWorker, groups: np.ndarray, options: ProjectionOptions
) -> None:
    wait_until_ready(umap)
    result = project(groups, options, fitter=umap)
    assert (result.method, result.note) == (options.method, "")
    assert result.coordinates.shape == (40, options.dimensions)
    assert center_distance(result.coordinates) > 2
    np.testing.assert_array_equal(project(groups, options, fitter=umap).coordinates, result.coordinates)


def test_fitted_points_are_placed_close_to_where_they_are(umap: UmapWorker, groups: np.ndarray) -> None:
    wait_until_ready(umap)
    result = project(groups, UMAP, fitter=umap)
    nearly = groups[[0, 5, 25, 35]] + 1e-4  # the very same ones would be looked up
    placed = place(result, nearly, fitter=umap)
    assert placed is not None
    far = np.linalg.norm(placed - result.coordinates[[0, 5, 25, 35]], axis=1)
    across = np.linalg.norm(result.coordinates[:20].mean(0) - result.coordinates[20:].mean(0))
    assert (far < across / 4).all(), "each in its own group"
    again = place(result, nearly, fitter=umap)
    np.testing.assert_array_equal(again, placed)
