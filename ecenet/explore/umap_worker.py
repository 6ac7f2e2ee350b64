"""UMAP in a process of its own: its import alone takes seconds and would hold up every other thread of this one."""

import contextlib
import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np

# The standard library's spawned process would import the whole app again; loky's imports what it runs.
from joblib.externals.loky import ProcessPoolExecutor

from ecenet.explore.projection import MIN_UMAP_POINTS, umap_coordinates


class UmapWorker:
    """One process that fits projections, one after the other. It starts to import UMAP when it is made."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._executor = ProcessPoolExecutor(max_workers=1)
        self._imported: Future[object] = self._executor.submit(_first_fit)

    @property
    def ready(self) -> bool:
        """Whether a fit would begin at once."""
        return self._imported.done() and self._imported.exception() is None

    def fit(self, vectors: np.ndarray, *, seed: int = 0) -> np.ndarray | None:
        """`umap_coordinates`, or None while the process starts; one that died is started again."""
        if self._imported.done() and self._imported.exception() is not None:
            self._start()
        if not self.ready:
            return None
        try:
            return np.asarray(self._executor.submit(umap_coordinates, vectors, seed=seed).result())
        except BrokenProcessPool:
            self._start()
            return None

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._executor.shutdown(wait=True, kill_workers=True)


def _first_fit() -> None:
    """Import UMAP and compile what its first fit compiles, on time that nobody else wants."""
    linux = hasattr(os, "SCHED_IDLE")
    if linux:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    umap_coordinates(np.random.default_rng(0).normal(size=(MIN_UMAP_POINTS, 4)).astype(np.float32))
    if linux:
        # Not every user may; fits then wait for idle time, too.
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
