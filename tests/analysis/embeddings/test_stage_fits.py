"""Pictures of each stage: what ties them together."""

import numpy as np
import pytest

from ecenet.analysis.embeddings.points import EmbeddingPoints
from ecenet.analysis.embeddings.procrustes import turn_onto
from ecenet.analysis.embeddings.projection import Method, ProjectionOptions, StageRows, project
from ecenet.analysis.embeddings.umap_worker import UmapWorker
from tests.support.fitters import ScriptedFitter, wait_until_ready

STAGES = ("ece", "stage2", "stage1")
ITEMS = 40


def made_rows(*, missing: int | None = None) -> tuple[np.ndarray, StageRows, np.ndarray]:
    """Four classes of ten, whose embeddings differ a little from stage to stage, in a shuffled order; `missing` has no
    row at stage 2. Returns vectors, rows and (N,) classes."""
    random = np.random.default_rng(0)
    centres = 5 * np.eye(4, 8)
    base = np.repeat(centres, ITEMS // 4, axis=0) + 0.3 * random.normal(size=(ITEMS, 8))
    vectors = np.concatenate([base + 0.1 * random.normal(size=base.shape) for _ in STAGES]).astype(np.float32)
    stage, item = np.repeat(STAGES, ITEMS), np.tile(np.arange(ITEMS), len(STAGES))
    order = random.permutation(len(vectors))
    order = order[~((stage[order] == "stage2") & (item[order] == missing))]
    return vectors[order], StageRows(stage[order], item[order], STAGES), item[order] // (ITEMS // 4)


def test_a_turn_finds_the_rotation_scale_and_shift() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    rotation = np.array([[0.0, 1.0], [-1.0, 0.0]])
    target = 3.0 * points @ rotation + np.array([5.0, -1.0])
    turn = turn_onto(points, target)
    assert turn.scale == pytest.approx(3)
    np.testing.assert_allclose(turn.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(turn.apply(points), target, atol=1e-12)


@pytest.mark.parametrize("method", ["UMAP", "t-SNE"])
def test_classes_are_islands_that_stay_where_they_are(method: Method, umap: UmapWorker) -> None:
    vectors, rows, classes = made_rows(missing=7)
    wait_until_ready(umap)
    fitted = umap.fit(vectors, ProjectionOptions(method=method, perplexity=5), rows)
    assert fitted is not None
    coordinates, key = fitted
    assert np.isfinite(coordinates).all()
    assert (key is None) == (method == "t-SNE"), "t-SNE cannot place"
    centres = np.array(
        [[coordinates[(rows.stage == name) & (classes == k)].mean(axis=0) for k in range(4)] for name in STAGES]
    )
    apart = min(np.linalg.norm(centres[:, k] - centres[:, other], axis=1).min() for k in range(4) for other in range(k))
    assert np.linalg.norm(np.diff(centres, axis=0), axis=2).max() < apart / 2
    for name, own in zip(STAGES, centres, strict=True):  # each point is nearest to its own class's centre
        members = rows.stage == name
        nearest = np.linalg.norm(coordinates[members][:, None] - own, axis=2).argmin(axis=1)
        assert (nearest == classes[members]).mean() > 0.9


def test_further_points_are_placed_beside_their_like_at_the_same_stage(umap: UmapWorker) -> None:
    vectors, rows, _ = made_rows()
    wait_until_ready(umap)
    fitted = umap.fit(vectors, ProjectionOptions(), rows)
    assert fitted is not None
    coordinates, key = fitted
    assert key is not None
    again = np.flatnonzero(rows.item == 3)
    placed = umap.place(key, vectors[again], rows.stage[again])
    assert placed is not None
    width = np.ptp(coordinates, axis=0).max()
    assert (np.linalg.norm(placed - coordinates[again], axis=1) < 0.2 * width).all()
    assert umap.place(key, vectors[:1], np.array(["stage9"])) is None


def test_too_few_points_of_one_stage_are_shown_by_pca() -> None:
    vectors, rows, _ = made_rows()
    few = (rows.stage != "stage1") | (rows.item < 3)
    fitter = ScriptedFitter()
    shown = project(
        vectors[few], ProjectionOptions(), fitter=fitter, rows=StageRows(rows.stage[few], rows.item[few], STAGES)
    )
    assert shown.method == "PCA"
    assert not fitter.fitted
    assert "16 points of each stage but there are only 3" in shown.note


def test_rows_of_stages_go_from_coarse_to_fine_and_name_each_class_of_each_image() -> None:
    points = EmbeddingPoints(
        vectors=np.zeros((4, 2), np.float32),
        image=np.array([1, 0, 1, 1]),
        stage=np.array(["stage10", "stage2", "ece", "stage10"]),
        class_index=np.array([2, 2, 2, 0]),
        area=np.zeros(4),
        confidence=np.zeros(4),
    )
    rows = points.stage_rows()
    assert rows.sequence == ("ece", "stage10", "stage2")
    assert rows.item[0] == rows.item[2]
    assert len(set(rows.item.tolist())) == 3
