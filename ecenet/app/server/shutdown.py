"""Shutdown of the app: fast, without waiting for threads, and with all temporary files deleted."""

import atexit
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

PREFIX, IN_USE = "ecenet-", "in-use"
"""Prefix of a running app's folder, and the file in it that is locked until the process ends."""
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
GRACE_SECONDS = 1
"""Time for pending responses before connections are closed."""


@contextlib.contextmanager
def stop_on_signal() -> Iterator[None]:
    """End the process with exit code 0 when Ctrl-C, SIGTERM or a closed terminal has ended the block.

    It does not wait for threads, which may be segmenting a photo.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # set by nohup
            signal.signal(number, _end)
    try:
        yield
    except KeyboardInterrupt:
        print("Stopped.")
        atexit._run_exitfuncs()  # handlers of libraries, such as for a share link's tunnel
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _end(number: int, frame: object) -> None:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise KeyboardInterrupt


@contextlib.contextmanager
def own_files() -> Iterator[Path]:
    """Create a folder for all files of visitors, which is deleted at the end of the block.

    Folders of apps that were killed are deleted first.
    """
    parent = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    with (folder / "starting").open("w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX)
        (folder / "starting").rename(folder / IN_USE)  # so that other apps never see it unlocked
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
        # Not TMPDIR, because trainings started by the app would inherit it, and they outlive the folder.
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            for _ in range(3):  # a thread may still be writing
                shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Delete folders of apps that no longer run. Other folders with the prefix lack the file and are kept."""
    for path in parent.glob(f"{PREFIX}*/{IN_USE}"):
        with contextlib.suppress(OSError), path.open() as in_use:  # another user's, or deleted meanwhile
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)


def serve_until_signal(page: gr.Blocks) -> None:
    """Block until `KeyboardInterrupt`, then close the page."""
    try:
        while True:
            signal.pause()
    finally:
        logging.disable()  # closed connections would be logged
        # Gradio (6.31) sets no limit, and the heartbeat of an open page would block the shutdown forever. The server
        # reads the value at its end. No longer needed once `launch` accepts that option.
        page.server.config.timeout_graceful_shutdown = GRACE_SECONDS
        closing = threading.Thread(target=page.close, kwargs={"verbose": False}, daemon=True)
        closing.start()
        closing.join(timeout=1.5 * GRACE_SECONDS)  # it waits for running threads
