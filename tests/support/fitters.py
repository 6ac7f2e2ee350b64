"""In the UMAP worker's place, where a test is about something else."""

import time

import numpy as np

from ecenet.analysis.embeddings.projection import FitFailedError, ProjectionOptions, StageRows
from ecenet.analysis.embeddings.umap_worker import UmapWorker


class ScriptedFitter:
    """Puts points where their vectors say, and counts what it is asked for."""

    def __init__(self, *, ready: bool = True, keeps: bool = True) -> None:
        self.ready = ready
        self.keeps = keeps
        self.fitted: list[int] = []
        self.placed: list[int] = []

    def fit(
        self, vectors: np.ndarray, options: ProjectionOptions, rows: StageRows | None = None
    ) -> tuple[np.ndarray, str | None] | None:
        self.fitted.append(len(vectors))
        key = "key" if options.method == "UMAP" else None
        return (vectors[:, : options.dimensions].astype(float), key) if self.ready else None

    def place(self, key: str, vectors: np.ndarray, stage: np.ndarray | None = None) -> np.ndarray | None:
        assert key == "key"
        self.placed.append(len(vectors))
        return vectors[:, :2] + 100.0 if self.keeps else None


class FailingFitter(ScriptedFitter):
    def fit(
        self, vectors: np.ndarray, options: ProjectionOptions, rows: StageRows | None = None
    ) -> tuple[np.ndarray, str | None] | None:
        raise FitFailedError("no such luck")


def wait_until_ready(worker: UmapWorker) -> None:
    deadline = time.monotonic() + 240
    while not worker.ready:
        assert time.monotonic() < deadline, "UMAP does not load"
        time.sleep(0.1)
