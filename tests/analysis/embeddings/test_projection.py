"""Points and projections: pure functions on predictions and arrays."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ecenet.analysis.embeddings.points import embedding_points
from ecenet.analysis.embeddings.projection import (
    MIN_POINTS,
    FitFailedError,
    ProjectionOptions,
    place,
    principal_axes,
    project,
)
from ecenet.analysis.embeddings.umap_worker import FitRequest, KeptFits, PlaceRequest, UmapWorker
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


def test_a_fit_that_fails_is_told_and_the_worker_goes_on(umap: UmapWorker, groups: np.ndarray) -> None:
    wait_until_ready(umap)
    with pytest.raises(FitFailedError):
        umap.fit(np.full_like(groups, np.nan), UMAP)
    assert umap.ready
    assert umap.fit(groups, UMAP) is not None


def test_the_worker_keeps_the_fits_that_were_used_last(monkeypatch: pytest.MonkeyPatch, groups: np.ndarray) -> None:
    monkeypatch.setitem(sys.modules, "ecenet.analysis.embeddings.umap_fit", FakeManifold)
    fits = KeptFits(most=2)
    for key in ("a", "b"):
        fits.answer(FitRequest(key, groups, UMAP))
    assert fits.answer(PlaceRequest("a", groups)).coordinates is not None
    fits.answer(FitRequest("c", groups, UMAP))
    kept = {key: fits.answer(PlaceRequest(key, groups)).coordinates is not None for key in "abc"}
    assert kept == {"a": True, "b": False, "c": True}


class FakeManifold:
    """In UMAP's place, whose import takes seconds."""

    @staticmethod
    def fit_umap(vectors: np.ndarray, options: ProjectionOptions) -> SimpleNamespace:
        return SimpleNamespace(embedding_=vectors[:, :2])

    @staticmethod
    def place_umap(reducer: SimpleNamespace, vectors: np.ndarray) -> np.ndarray:
        return np.zeros((len(vectors), 2))

    @staticmethod
    def tsne_coordinates(vectors: np.ndarray, options: ProjectionOptions) -> np.ndarray:
        return vectors[:, :2]


def test_umap_is_imported_by_the_worker_alone() -> None:
    """Its import takes seconds, which the app's process has not to spare."""
    modules = "ecenet.analysis.embeddings.umap_worker, ecenet.analysis.embeddings.embedding_map"
    code = f"import sys, {modules}; sys.exit('umap' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_worker_that_is_killed_is_replaced(groups: np.ndarray, umap: UmapWorker) -> None:
    wait_until_ready(umap)
    umap._process.kill()
    umap._process.wait()
    assert umap.fit(groups, UMAP) is None, "shown with PCA meanwhile"
    wait_until_ready(umap)
    assert project(groups, UMAP, fitter=umap).method == "UMAP"


def test_a_fit_that_ends_its_process_twice_is_given_up(groups: np.ndarray) -> None:
    """As when the system kills it for lack of memory: else it would begin anew for as long as the page is open."""

    class Dying(UmapWorker):
        command = (sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.buffer.read(1)")

    with contextlib.closing(Dying()) as worker:
        for _ in range(2):
            wait_until_ready(worker)
            first = project(groups, UMAP, fitter=worker)
            assert (first.method, first.waiting) == ("PCA", True), "it may have been bad luck"
            wait_until_ready(worker)
            second = project(groups, UMAP, fitter=worker)
            assert (second.method, second.waiting) == ("PCA", False)
            assert "died twice" in second.note


def test_the_worker_ends_with_the_process_that_started_it(umap: UmapWorker) -> None:
    """A server that is killed can close nothing."""
    wait_until_ready(umap)  # so that the files it reads are warm
    code = """
import os, signal, time
from ecenet.analysis.embeddings.umap_worker import UmapWorker
worker = UmapWorker()
while not worker.ready:
    time.sleep(0.1)
print(worker._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    server = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    status = Path(f"/proc/{int(server.stdout)}/status")
    deadline = time.monotonic() + 10
    while status.exists() and "zombie" not in status.read_text():
        assert time.monotonic() < deadline, "the worker is still there"
        time.sleep(0.1)
