"""Start, stop and resume runs in processes of their own, which outlive whoever started them.

`status.py` says which files tell how they are doing.
"""

import contextlib
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import IO

from filelock import FileLock

from ecenet.common.child_env import child_environment
from ecenet.common.errors import UserError, disk_errors
from ecenet.data.prepare.trainable import trainable_data
from ecenet.training.jobs.data_store import data_store, delete_unused_copies
from ecenet.training.jobs.form import FieldError, RunRequest, about, check_settings, command_words
from ecenet.training.jobs.length import Measured, measure, plan
from ecenet.training.jobs.status import LAUNCH, LOG, STOP, RunReport, is_launched, process_id, run_reports, write_launch
from ecenet.training.run_folder import is_running

NICE = 5
"""Lower priority than the app's, so that photos are still segmented while a run has every core."""


def free_name(source: Path, *, root: Path) -> str:
    """A name for a run on this data that no run has yet."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", source.stem).strip("-")[:40] or "mine"
    return next(name for number in count(1) if not (root / (name := f"{plain}-{number}")).exists())


def start_run(request: RunRequest, *, root: Path, known: Measured | None = None) -> str:
    """Begin a run in a new folder below `root`, once data and options have been looked at. Data that `train` does not
    read as it is is prepared first.

    Args:
        known: what steps take, where that has been measured.
    Returns: its name.
    Raises:
        FieldError: says which field to correct.
        UserError: another run is going on, or the disk is full.
    """
    name = request.name.strip()
    with about("name"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise UserError(
                "invalid-value",
                f"Expected a run name of letters, digits, dots, dashes and underscores that begins with a letter or "
                f"digit, got {name[:80]!r}; choose another.",
            )
        folder = root / name
        _refuse_taken(folder)
    arguments = checked_words(request, root=root, out=folder)
    with _one_at_a_time(root):
        with about("name"):
            _refuse_taken(folder)
        if request.lasts_minutes:
            arguments += plan(_measured(arguments, known).times, request.minutes or 0).words
        _launch(folder, arguments=arguments, directory=Path.cwd(), fresh=True)
    delete_unused_copies(root, (run.arguments for run in run_reports(root)))
    return name


def measure_run(request: RunRequest, *, root: Path) -> Measured:
    """What a step of the run would take on this machine.

    Raises:
        FieldError: says which field to correct.
        UserError: another run is going on, beside which nothing can be measured.
    """
    arguments = checked_words(request, root=root, out=root / "measured")
    with _one_at_a_time(root):
        return _measured(arguments, None)


def checked_words(request: RunRequest, *, root: Path, out: Path) -> list[str]:
    """The form as words after `python -m ecenet`, which `train` can begin with.

    Raises:
        FieldError: says which field to correct.
    """
    arguments = command_words(request, out=out)
    try:
        check_settings(arguments)
    except FieldError as error:
        source = Path(request.data.strip()).expanduser()
        if error.field != "data" or not source.exists():
            raise
        with about("data"):
            found = trainable_data(source, store=data_store(root), layout=request.layout)
        request = replace(request, data=str(found.folder), layout=found.layout)
        arguments = command_words(request, out=out)
        check_settings(arguments)
    return arguments


def _measured(arguments: list[str], known: Measured | None) -> Measured:
    """`known`, where it is of the same run but for its name."""
    if known is not None and _nameless(known.words) == _nameless(arguments):
        return known
    with about("length"):
        return measure(arguments, nice=NICE)


def _nameless(words: Sequence[str]) -> list[str]:
    out = words.index("--out")
    return [*words[:out], *words[out + 2 :]]


def stop_run(name: str | None, *, root: Path) -> None:
    """Ask the run's process to save the step at hand and end.

    Raises:
        UserError: no process is at it, or it has been asked already: a second signal would end it unsaved.
    """
    run = find_run(name, root=root)
    if run.state == "stopping":
        raise UserError(
            "wrong-run-state",
            f"Expected a run that is going on, but {name} is stopping already; wait for its step to end.",
        )
    if not run.active:
        raise UserError(
            "wrong-run-state", f"Expected a run that is going on, but {name} is {run.state}; there is nothing to stop."
        )
    pid = process_id(run.folder)
    if pid is None or not (is_running(run.folder) or is_launched(run.folder)):
        raise UserError(
            "wrong-run-state", f"Expected a run that is going on, but {name} has just ended; there is nothing to stop."
        )
    with disk_errors(run.folder / STOP):
        (run.folder / STOP).write_text(str(pid))
    try:
        os.kill(pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError) as error:
        (run.folder / STOP).unlink(missing_ok=True)
        raise UserError(
            "wrong-run-state",
            f"Expected a process of yours on this machine, but {pid} is not; stop {name} where it was started.",
        ) from error


def resume_run(name: str | None, *, root: Path) -> None:
    """Go on with a run that stopped or failed: the same words in the same directory.

    Raises:
        UserError: it is not one of those, its data cannot be read any more, or another run is going on.
    """
    run = find_run(name, root=root)
    if run.active or run.state == "finished":
        raise UserError(
            "wrong-run-state",
            f"Expected a run that stopped or failed, but {name} is {run.state}; there is nothing to resume.",
        )
    if not run.directory.is_dir():
        raise UserError(
            "run-moved", f"Expected the directory {run.directory} that {name} began in, but it is gone; restore it."
        )
    config = check_settings(list(run.arguments), directory=run.directory)
    if (run.directory / config.out).resolve() != run.folder.resolve():
        raise UserError(
            "run-moved",
            f"Expected {name} where it began ({run.directory / config.out}), but it lies in {run.folder}; "
            "move it back, or resume it on the command line with the new --out.",
        )
    with _one_at_a_time(root):
        _launch(run.folder, arguments=list(run.arguments), directory=run.directory, fresh=False)


def find_run(name: str | None, *, root: Path) -> RunReport:
    """One of the listed runs; a name is never used as a path.

    Raises:
        UserError: there is none of that name.
    """
    for run in run_reports(root):
        if run.name == name:
            return run
    raise UserError("unknown-choice", f"Expected a run of the list, got {str(name)[:80]!r}; choose one of the list.")


def _refuse_taken(folder: Path) -> None:
    """A folder that only holds what a run left which never began may be used again."""
    if (folder / "run.json").is_file():
        raise UserError(
            "name-taken",
            f"Expected a new run name, but {folder.name} is there already; choose another, or select that run and "
            "press Resume.",
        )
    if folder.exists() and not (folder / LAUNCH).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError("name-taken", f"Expected a new run name, but {folder} holds something else; choose another.")


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Two runs on one machine would each take more than twice as long."""
    lock = FileLock(root / "launch.lock")
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        for run in run_reports(root):
            if run.active:
                raise UserError(
                    "run-busy",
                    f"Expected no other run on this machine, but {run.name} is {run.state}; "
                    "stop it or wait for its end.",
                )
        yield
    finally:
        lock.release()


def _launch(folder: Path, *, arguments: list[str], directory: Path, fresh: bool) -> None:
    """A process that neither the app's end nor Ctrl-C in its terminal reaches."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOP).unlink(missing_ok=True)
        with (folder / LOG).open("w" if fresh else "a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)  # the process inherits it: `watch.is_launched`
            log.write(f"$ {shlex.join(['python', '-m', 'ecenet', *arguments])}\n")
            log.flush()
            process = _detached(arguments, directory=directory, log=log)
            write_launch(folder, arguments=arguments, directory=directory, pid=process.pid)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    # Somebody has to take note of its end, or it stays in the process table.
    threading.Thread(target=process.wait, daemon=True).start()


def _detached(arguments: list[str], *, directory: Path, log: IO[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "ecenet", *arguments],
        cwd=directory,
        env=child_environment(PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
