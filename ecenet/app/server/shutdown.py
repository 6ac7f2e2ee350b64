"""How the app ends: soon, whatever its threads are at, and with nothing left behind."""

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
"""Of a running app's folder, and the file in it that stays locked until the process ends, in whatever way."""
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
GRACE_SECONDS = 1
"""What answers that are on their way get before connections are cut."""


@contextlib.contextmanager
def stop_on_signal() -> Iterator[None]:
    """The process ends with code 0 once Ctrl-C, SIGTERM or a closed terminal has ended the block.

    It does not wait for threads: one that segments a photo would hold it up until that is done.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _end)
    try:
        yield
    except KeyboardInterrupt:
        print("Stopped.")
        atexit._run_exitfuncs()  # what libraries have started, such as a share link's tunnel
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _end(number: int, frame: object) -> None:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # impatience must not keep us from tidying up
    raise KeyboardInterrupt


@contextlib.contextmanager
def own_files() -> Iterator[Path]:
    """Uploads, results and everything else of a visitor's lie in one folder, which is there as long as the block.

    Folders of apps that were killed, and could not tidy up, are removed first.
    """
    parent = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    with (folder / "starting").open("w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX)
        (folder / "starting").rename(folder / IN_USE)  # so that no other app ever finds it by that name and not locked
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
        # Not TMPDIR: trainings that are started here inherit it, and outlive the folder.
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            for _ in range(3):  # a thread may be writing
                shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Whatever else is called like an app's folder has no such file in it, and stays."""
    for path in parent.glob(f"{PREFIX}*/{IN_USE}"):
        with contextlib.suppress(OSError), path.open() as in_use:  # somebody else's, or gone by now
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)


def serve_until_signal(page: gr.Blocks) -> None:
    """Until `KeyboardInterrupt`; then a page that is being served is closed."""
    try:
        while True:
            signal.pause()
    finally:
        logging.disable()  # of connections that are cut
        # Gradio (6.31) starts uvicorn without a limit here, and an open page's heartbeat would hold it up for ever; the
        # running server reads it when it ends. Needless once `launch` takes that option.
        page.server.config.timeout_graceful_shutdown = GRACE_SECONDS
        closing = threading.Thread(target=page.close, kwargs={"verbose": False}, daemon=True)
        closing.start()
        closing.join(timeout=1.5 * GRACE_SECONDS)  # a thread that works for somebody holds it up until it is done
