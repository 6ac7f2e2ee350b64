"""UMAP in a process of its own: its import alone takes seconds and would hold up every other thread of this one."""

import atexit
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import BinaryIO

import numpy as np

from ecenet.child import child_environment
from ecenet.explore.projection import MIN_UMAP_POINTS, umap_coordinates

READY = b"ready\n"
IDLE_SECONDS = 30


class UmapWorker:
    """One process that fits projections, one after the other; it begins to import UMAP at once.

    Arrays go to and fro through its pipes. It ends with the process that started it, however that one ends, since
    then its input ends.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._start()
        atexit.register(self.close)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ecenet.explore.umap_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
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

    def fit(self, vectors: np.ndarray) -> np.ndarray | None:
        """`umap_coordinates`, or None while the process starts; one that died is started again."""
        with self._one_at_a_time:
            if self._process.poll() is not None:
                self._start()
            if not self.ready:
                return None
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                pickle.dump(vectors, self._process.stdin)
                self._process.stdin.flush()
                return np.asarray(pickle.load(self._process.stdout))
            except (OSError, EOFError, pickle.UnpicklingError):  # the process died over it
                self._process.kill()
                self._start()
                return None

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._process.kill()
        self._process.wait()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """What the process does: say that UMAP is there, then answer each array with its coordinates."""
    _first_fit()
    answers.write(READY)
    answers.flush()
    while True:
        try:
            vectors = pickle.load(requests)
        except EOFError:  # the input has ended
            return
        pickle.dump(umap_coordinates(vectors), answers)
        answers.flush()


def _first_fit() -> None:
    """Import UMAP and compile what its first fit compiles; at first on time that nobody else wants."""
    _schedule("SCHED_IDLE")
    # On a busy machine there may be no such time.
    patience = threading.Timer(IDLE_SECONDS, _schedule, ["SCHED_OTHER"])
    patience.daemon = True
    patience.start()
    umap_coordinates(np.random.default_rng(0).normal(size=(MIN_UMAP_POINTS, 4)).astype(np.float32))
    patience.cancel()
    _schedule("SCHED_OTHER")


def _schedule(policy: str) -> None:
    """Of the main thread, where the system has such policies; not every user may leave the idle one."""
    if hasattr(os, policy):
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(threading.main_thread().native_id or 0, getattr(os, policy), os.sched_param(0))


if __name__ == "__main__":
    # Ctrl-C reaches the whole group; this process ends with its input instead.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints must not mix with the answers
    serve(sys.stdin.buffer, answers)
