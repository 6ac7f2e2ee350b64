"""UMAP in a process of its own: what it keeps, and what becomes of a fit that fails or a worker that dies."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ecenet.analysis.embeddings.projection import (
    FitFailedError,
    ProjectionOptions,
    project,
)
from ecenet.analysis.embeddings.umap_worker import FitRequest, KeptFits, PlaceRequest, UmapWorker
from tests.support.fitters import wait_until_ready

PCA = ProjectionOptions(method="PCA")
UMAP = ProjectionOptions()
TSNE = ProjectionOptions(method="t-SNE", perplexity=5)


@pytest.fixture
def groups() -> np.ndarray:
    """Twenty points each in two far directions."""
    return np.repeat(np.eye(8)[:2], 20, axis=0) + np.random.default_rng(0).normal(scale=0.05, size=(40, 8))


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
