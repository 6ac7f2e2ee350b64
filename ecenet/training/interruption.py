"""How a run ends before its time, or does not: somebody asks it to stop, a disk is full, a device is too small."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from ecenet.common.errors import UserError
from ecenet.training.config import TrainConfig


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that the step at hand ends and is saved; a second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals reach the main thread alone
        return

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def warned(progress: Any, *, unless: bool) -> Iterator[None]:
    """Say what went wrong and go on: a full disk may have room again at the next save. With `unless`, end instead."""
    try:
        yield
    except UserError as error:
        if unless:
            raise
        progress.write(f"Warning: {error}")


def too_large(config: TrainConfig, *, processes: int) -> UserError:
    """What to say when the device's memory does not hold a part of the batch."""
    at_once = config.batch_size // (processes * config.accumulate)
    share, side = config.batch_size // processes, config.data.crop_size
    # The next finer split that comes out even.
    smaller = next((parts for parts in range(config.accumulate + 1, share + 1) if share % parts == 0), None)
    remedy = (
        f"add --accumulate {smaller}, which takes {share // smaller} at once and changes no result"
        if smaller
        else f"lower --crop-size below {side}"
    )
    return UserError(
        "out-of-memory",
        f"Expected a device that holds {at_once} crops of {side}×{side} at once, but its memory is full; {remedy}.",
    )
