"""Interruptions of a run: stop signals, a full disk, and a lack of device memory."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from ecenet.common.errors import UserError
from ecenet.training.config import TrainConfig


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that is set by Ctrl-C or SIGTERM, so that the current step is completed and saved. A second signal
    stops immediately."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread receives signals
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
    """Print user errors as warnings and continue, since a full disk may have space at the next save. With `unless`,
    raise them."""
    try:
        yield
    except UserError as error:
        if unless:
            raise
        progress.write(f"Warning: {error}")


def too_large(config: TrainConfig, *, processes: int) -> UserError:
    """Return the error for a batch that does not fit into the device's memory."""
    at_once = config.batch_size // (processes * config.accumulate)
    share, side = config.batch_size // processes, config.data.crop_size
    # The next larger number of equal parts.
    smaller = next((parts for parts in range(config.accumulate + 1, share + 1) if share % parts == 0), None)
    remedy = (
        f"add --accumulate {smaller}, which uses {share // smaller} at once with the same result"
        if smaller
        else f"lower --crop-size below {side}"
    )
    return UserError(
        "out-of-memory",
        f"Expected memory for {at_once} crops of {side}×{side} at once, but the device's memory is full; {remedy}.",
    )
