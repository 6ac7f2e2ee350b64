"""Worker processes of a training: who ends them."""

import multiprocessing
import signal
import time
from multiprocessing.connection import Connection

from ecenet.data.loading import _leave_stopping_to_the_run


def work(ready: Connection) -> None:
    _leave_stopping_to_the_run(0)
    ready.send(True)
    while True:
        time.sleep(0.01)


def test_a_worker_leaves_the_first_request_to_end_to_its_run_and_follows_the_second() -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    worker = context.Process(target=work, args=[there], daemon=True)
    worker.start()
    assert here.recv()
    worker.terminate()
    worker.join(timeout=0.5)
    assert worker.is_alive(), "the step at hand goes on"
    worker.terminate()
    worker.join(timeout=30)
    assert worker.exitcode == -signal.SIGTERM
