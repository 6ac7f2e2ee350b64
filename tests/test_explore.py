"""Points and projections: pure functions on predictions and arrays."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from predictions import make_prediction

from ecenet.explore.points import embedding_points
from ecenet.explore.projection import MIN_UMAP_POINTS, project, umap_coordinates
from ecenet.explore.umap_worker import UmapWorker


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


@pytest.mark.parametrize("count", [0, 1, 2, MIN_UMAP_POINTS - 1])
def test_too_few_points_fall_back_to_pca_and_say_so(count: int) -> None:
    result = project(np.random.default_rng(0).normal(size=(count, 8)), fit_umap=umap_coordinates)
    assert result.coordinates.shape == (count, 2)
    assert np.isfinite(result.coordinates).all()
    assert result.method == "PCA"
    assert str(count) in result.note
    assert "Add another photo" in result.note


def test_pca_keeps_the_distances_of_points_in_a_plane() -> None:
    plane = np.random.default_rng(0).normal(size=(10, 2))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0][:2]
    flat = project(plane @ rotation, fit_umap=umap_coordinates).coordinates

    def distances(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[:, None] - points[None], axis=2)

    np.testing.assert_allclose(distances(flat), distances(plane), atol=1e-9)


def test_identical_points_project_to_one_place() -> None:
    assert np.ptp(project(np.ones((5, 4)), fit_umap=umap_coordinates).coordinates) == pytest.approx(0, abs=1e-9)


def test_enough_points_use_pca_until_umap_is_there() -> None:
    result = project(np.random.default_rng(0).normal(size=(MIN_UMAP_POINTS, 8)), fit_umap=lambda vectors: None)
    assert result.method == "PCA"
    assert "still loading" in result.note


@pytest.fixture
def groups() -> np.ndarray:
    """Twenty points each in two far directions."""
    return np.repeat(np.eye(8)[:2], 20, axis=0) + np.random.default_rng(0).normal(scale=0.05, size=(40, 8))


def wait_until_ready(worker: UmapWorker) -> None:
    deadline = time.monotonic() + 240
    while not worker.ready:
        assert time.monotonic() < deadline, "UMAP does not load"
        time.sleep(0.1)


def test_umap_separates_two_far_groups_and_repeats_itself(umap: UmapWorker, groups: np.ndarray) -> None:
    wait_until_ready(umap)
    result = project(groups, fit_umap=umap.fit)

    assert result.method == "UMAP"
    assert result.note == ""
    left, right = result.coordinates[:20], result.coordinates[20:]
    spread = max(np.linalg.norm(part - part.mean(0), axis=1).mean() for part in (left, right))
    assert np.linalg.norm(left.mean(0) - right.mean(0)) > 2 * spread
    np.testing.assert_array_equal(project(groups, fit_umap=umap.fit).coordinates, result.coordinates)


def test_umap_is_imported_by_the_worker_and_not_here(umap: UmapWorker) -> None:
    wait_until_ready(umap)
    assert "umap" not in sys.modules


def test_a_worker_that_is_killed_is_replaced(groups: np.ndarray) -> None:
    worker = UmapWorker()
    try:
        wait_until_ready(worker)
        worker._process.kill()
        worker._process.wait()
        assert worker.fit(groups) is None, "shown with PCA meanwhile"
        wait_until_ready(worker)
        assert worker.fit(groups).shape == (40, 2)
    finally:
        worker.close()


def test_the_worker_ends_with_the_process_that_started_it(umap: UmapWorker) -> None:
    """A server that is killed can close nothing."""
    wait_until_ready(umap)  # so that the files it reads are warm
    code = """
import os, signal, time
from ecenet.explore.umap_worker import UmapWorker
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
