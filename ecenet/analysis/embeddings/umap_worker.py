"""UMAP and t-SNE in a process of their own: the import alone takes seconds and would hold up every other thread."""

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
"""How often the process looks whether the one that started it is there."""
MAX_DEATHS = 2
MAX_FITS = 8
"""Fits that the process keeps, of all visitors; the one that was used longest ago goes first."""


@dataclass(frozen=True)
class FitRequest:
    key: str
    """Names the fit for later `PlaceRequest`s."""
    vectors: np.ndarray
    options: ProjectionOptions
    rows: StageRows | None = None
    """For a picture of each stage."""


@dataclass(frozen=True)
class PlaceRequest:
    key: str
    vectors: np.ndarray
    stage: np.ndarray | None = None
    """(N,) names, of pictures of each stage."""


@dataclass(frozen=True)
class Answer:
    coordinates: np.ndarray | None = None
    """None: the fit is no longer kept, or `error`."""
    error: str = ""


class UmapWorker:
    """One process that fits projections, one after the other; it begins to import UMAP at once.

    Requests and answers go to and fro through its pipes. It ends with the process that started it, however that one
    ends.
    """

    command = (sys.executable, "-m", "ecenet.analysis.embeddings.umap_worker")

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._starting_or_closing = threading.Lock()
        self._closed = False
        self._deaths: Counter[str] = Counter()
        """How often the process died over a fit."""
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
                start_new_session=True,  # Ctrl-C in a terminal is not for it
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
        """Whether a fit would begin at once."""
        return self._ready.is_set() and self._process.poll() is None

    def fit(
        self, vectors: np.ndarray, options: ProjectionOptions, rows: StageRows | None = None
    ) -> tuple[np.ndarray, str | None] | None:
        """Coordinates and, for UMAP, the key of the fit; None while the process starts. `rows` as for `Fitter`.

        Raises:
            FitFailedError: the method refused the points.
        """
        # Equal points and options are one fit, whoever asks for it.
        of_stages = b"" if rows is None else rows.stage.tobytes() + rows.item.tobytes()
        key = hashlib.sha256(vectors.tobytes() + repr((vectors.shape, options)).encode() + of_stages).hexdigest()
        answer = self._ask(FitRequest(key, vectors, options, rows))
        if answer is None or answer.coordinates is None:
            return None
        return answer.coordinates, key if options.method == "UMAP" else None

    def place(self, key: str, vectors: np.ndarray, stage: np.ndarray | None = None) -> np.ndarray | None:
        """Coordinates in a fit; None where it is no longer kept, or the process starts anew. `stage` as for `Fitter`.

        Raises:
            FitFailedError: the method refused the points.
        """
        answer = self._ask(PlaceRequest(key, vectors, stage))
        return None if answer is None else answer.coordinates

    def _ask(self, request: FitRequest | PlaceRequest) -> Answer | None:
        """None while the process starts; one that died is started again, but does not die of the same fit forever.

        Raises:
            FitFailedError: the process died of it for the second time, or the method refused the points.
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
            except (OSError, EOFError, pickle.UnpicklingError):  # the process died over it
                self._process.kill()
                self._start()
                self._deaths[request.key] += 1
                if self._deaths[request.key] < MAX_DEATHS:
                    return None
                del self._deaths[request.key]
                raise FitFailedError("its process was ended twice, perhaps for lack of memory") from None
        self._deaths.pop(request.key, None)
        if answer.error:
            raise FitFailedError(answer.error)
        return answer

    def close(self) -> None:
        """End the process, whatever it is at; none is started again."""
        with self._starting_or_closing:
            self._closed = True
            self._process.kill()
            self._process.wait()


class KeptFits:
    """What the process does with requests, and the fits that it keeps.

    Args:
        most: how many.
    """

    def __init__(self, *, most: int = MAX_FITS) -> None:
        self._most = most
        self._fits: OrderedDict[str, Any] = OrderedDict()

    def answer(self, request: FitRequest | PlaceRequest) -> Answer:
        """Whatever a library raises becomes an error to read: one visitor's bad parameters must not end the process."""
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
            assert request.stage is not None, "whoever fitted stages places into stages"
            return fit.place(request.vectors, request.stage)
        return place_umap(fit, request.vectors)


def _coordinates(fit: Any) -> np.ndarray:
    """Of UMAP's reducer or a `StageFits`."""
    return np.asarray(fit.embedding_ if hasattr(fit, "embedding_") else fit.coordinates)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """What the process does: say that UMAP is there, then answer each request."""
    _warm_up()
    answers.write(READY)
    answers.flush()
    fits = KeptFits()
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:  # the input has ended
            return
        pickle.dump(fits.answer(request), answers)
        answers.flush()


def _warm_up() -> None:
    """Import UMAP and compile what its first fit and placing compile; at first on time that nobody else wants."""
    _schedule("SCHED_IDLE")
    # On a busy machine there may be no such time.
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
    """Of the main thread, where the system has such policies; not every user may leave the idle one."""
    if hasattr(os, policy):
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(threading.main_thread().native_id or 0, getattr(os, policy), os.sched_param(0))


def _end_with(parent: int) -> None:
    """A fit is deaf to the end of the input; this is not."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=[int(sys.argv[1])], daemon=True).start()
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints must not mix with the answers
    # By its own name: pickled requests name the module, not `__main__`.
    from ecenet.analysis.embeddings import umap_worker

    umap_worker.serve(sys.stdin.buffer, answers)
