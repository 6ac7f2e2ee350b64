"""Run UMAP and t-SNE in a separate process: the import takes seconds and would block all other threads."""

import atexit
import contextlib
import hashlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ecenet.analysis.embeddings.projection import MIN_POINTS, FitFailedError, ProjectionOptions, StageRows
from ecenet.common.child_env import child_environment

READY = b"ready\n"
IDLE_SECONDS = 30
PARENT_SECONDS = 0.5
"""Interval at which the process checks whether its parent is alive."""
MAX_DEATHS = 2
MAX_FITS = 8
"""Number of fits that the process keeps for all visitors (least recently used are dropped)."""


@dataclass(frozen=True)
class FitRequest:
    key: str
    """Key of the fit, for later `PlaceRequest`s."""
    vectors: np.ndarray
    options: ProjectionOptions
    rows: StageRows | None = None
    """Given for one projection per stage."""


@dataclass(frozen=True)
class PlaceRequest:
    key: str
    vectors: np.ndarray
    stage: np.ndarray | None = None
    """(N,) stage names, for one projection per stage."""


@dataclass(frozen=True)
class Answer:
    coordinates: np.ndarray | None = None
    """Coordinates; None if the fit is no longer kept or `error` is set."""
    error: str = ""


class UmapWorker:
    """A process that computes projections one at a time; it starts importing UMAP immediately.

    It communicates through pipes, and ends when its parent process ends for any reason.
    """

    command = (sys.executable, "-m", "ecenet.analysis.embeddings.umap_worker")

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._starting_or_closing = threading.Lock()
        self._closed = False
        self._deaths: Counter[str] = Counter()
        """Number of times the process died during each fit."""
        self._start()
        atexit.register(self.close)

    def _start(self) -> None:
        with self._starting_or_closing:
            if self._closed:
                return
            self._process = subprocess.Popen(
                [*self.command, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=child_environment(),
                start_new_session=True,  # not interrupted by Ctrl-C in the terminal
            )
            self._ready = threading.Event()
            threading.Thread(target=self._await_ready, args=(self._process, self._ready), daemon=True).start()

    @staticmethod
    def _await_ready(process: "subprocess.Popen[bytes]", ready: threading.Event) -> None:
        assert process.stdout is not None
        if process.stdout.readline() == READY:
            ready.set()

    @property
    def ready(self) -> bool:
        """Whether a fit would start immediately."""
        return self._ready.is_set() and self._process.poll() is None

    def fit(
        self, vectors: np.ndarray, options: ProjectionOptions, rows: StageRows | None = None
    ) -> tuple[np.ndarray, str | None] | None:
        """Coordinates and, for UMAP, the key of the fit; None while the process starts. `rows` as for `Fitter`.

        Raises:
            FitFailedError: the method failed on the points.
        """
        # Visitors with equal points and options share a fit.
        of_stages = b"" if rows is None else rows.stage.tobytes() + rows.item.tobytes()
        key = hashlib.sha256(vectors.tobytes() + repr((vectors.shape, options)).encode() + of_stages).hexdigest()
        answer = self._ask(FitRequest(key, vectors, options, rows))
        if answer is None or answer.coordinates is None:
            return None
        return answer.coordinates, key if options.method == "UMAP" else None

    def place(self, key: str, vectors: np.ndarray, stage: np.ndarray | None = None) -> np.ndarray | None:
        """Coordinates in a fit; None if it is no longer kept or the process is restarting. `stage` as for `Fitter`.

        Raises:
            FitFailedError: the method failed on the points.
        """
        answer = self._ask(PlaceRequest(key, vectors, stage))
        return None if answer is None else answer.coordinates

    def _ask(self, request: FitRequest | PlaceRequest) -> Answer | None:
        """The answer to a request, or None while the process starts.

        A process that died is restarted, at most once for the same request.

        Raises:
            FitFailedError: the process died twice during this request, or the method failed on the points.
        """
        with self._one_at_a_time:
            if self._process.poll() is not None:
                self._start()
            if not self.ready:
                return None
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                pickle.dump(request, self._process.stdin)
                self._process.stdin.flush()
                answer: Answer = pickle.load(self._process.stdout)
            except (OSError, EOFError, pickle.UnpicklingError):  # the process died
                self._process.kill()
                self._start()
                self._deaths[request.key] += 1
                if self._deaths[request.key] < MAX_DEATHS:
                    return None
                del self._deaths[request.key]
                raise FitFailedError("its process died twice, possibly out of memory") from None
        self._deaths.pop(request.key, None)
        if answer.error:
            raise FitFailedError(answer.error)
        return answer

    def close(self) -> None:
        """End the process immediately; it is not restarted."""
        with self._starting_or_closing:
            self._closed = True
            self._process.kill()
            self._process.wait()


class KeptFits:
    """Handles requests in the worker process and keeps fits.

    Args:
        most: maximum number of fits to keep.
    """

    def __init__(self, *, most: int = MAX_FITS) -> None:
        self._most = most
        self._fits: OrderedDict[str, Any] = OrderedDict()

    def answer(self, request: FitRequest | PlaceRequest) -> Answer:
        """Answer a request. All exceptions become error messages, so that bad parameters do not end the process."""
        try:
            return Answer(self._fit(request) if isinstance(request, FitRequest) else self._place(request))
        except Exception as error:
            return Answer(error=" ".join(str(error).split())[:120] or type(error).__name__)

    def _fit(self, request: FitRequest) -> np.ndarray:
        from ecenet.analysis.embeddings.stage_fits import fit_stages
        from ecenet.analysis.embeddings.umap_fit import fit_umap, tsne_coordinates

        if request.key in self._fits:
            self._fits.move_to_end(request.key)
            return _coordinates(self._fits[request.key])
        fit: Any
        if request.rows is not None:
            fit = fit_stages(request.vectors, request.options, request.rows)
        elif request.options.method == "t-SNE":
            return tsne_coordinates(request.vectors, request.options)
        else:
            fit = fit_umap(request.vectors, request.options)
        if request.options.method == "UMAP":
            self._fits[request.key] = fit
            if len(self._fits) > self._most:
                self._fits.popitem(last=False)
        return _coordinates(fit)

    def _place(self, request: PlaceRequest) -> np.ndarray | None:
        from ecenet.analysis.embeddings.stage_fits import StageFits
        from ecenet.analysis.embeddings.umap_fit import place_umap

        if request.key not in self._fits:
            return None
        self._fits.move_to_end(request.key)
        fit = self._fits[request.key]
        if isinstance(fit, StageFits):
            assert request.stage is not None, "a fit per stage needs the stages of the points"
            return fit.place(request.vectors, request.stage)
        return place_umap(fit, request.vectors)


def _coordinates(fit: Any) -> np.ndarray:
    """Coordinates of a UMAP reducer or a `StageFits`."""
    return np.asarray(fit.embedding_ if hasattr(fit, "embedding_") else fit.coordinates)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Main loop of the process: report that UMAP is imported, then answer requests."""
    _warm_up()
    answers.write(READY)
    answers.flush()
    fits = KeptFits()
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:  # end of input
            return
        pickle.dump(fits.answer(request), answers)
        answers.flush()


def _warm_up() -> None:
    """Import UMAP and trigger its compilation, initially at idle priority."""
    _schedule("SCHED_IDLE")
    # On a busy machine the idle priority may never run.
    patience = threading.Timer(IDLE_SECONDS, _schedule, ["SCHED_OTHER"])
    patience.daemon = True
    patience.start()
    vectors = np.random.default_rng(0).normal(size=(MIN_POINTS, 4)).astype(np.float32)
    fits = KeptFits()
    fits.answer(FitRequest("first", vectors, ProjectionOptions()))
    fits.answer(PlaceRequest("first", vectors[:4]))
    patience.cancel()
    _schedule("SCHED_OTHER")


def _schedule(policy: str) -> None:
    """Set the scheduling policy of the main thread if the system supports it; leaving idle may not be permitted."""
    if hasattr(os, policy):
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(threading.main_thread().native_id or 0, getattr(os, policy), os.sched_param(0))


def _end_with(parent: int) -> None:
    """End the process when its parent ends, even during a fit."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=[int(sys.argv[1])], daemon=True).start()
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # keep prints of libraries out of the answers
    # Import by name: pickled requests refer to the module, not to `__main__`.
    from ecenet.analysis.embeddings import umap_worker

    umap_worker.serve(sys.stdin.buffer, answers)
