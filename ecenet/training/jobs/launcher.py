"""Start, stop and resume runs in separate processes, which outlive the process that started them.

`status.py` reads their state from files.
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
"""Lower priority than the app, so that photos are segmented while a run uses all cores."""


def free_name(source: Path, *, root: Path) -> str:
    """Return an unused name for a run on this data."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", source.stem).strip("-")[:40] or "mine"
    return next(name for number in count(1) if not (root / (name := f"{plain}-{number}")).exists())


def start_run(request: RunRequest, *, root: Path, known: Measured | None = None) -> str:
    """Start a run in a new folder below `root`, after its data and options are checked. Data that `train` cannot read
    directly is prepared first.

    Args:
        known: measured duration of the steps, if available.
    Returns: the name of the run.
    Raises:
        FieldError: a field is invalid.
        UserError: another run is active, or the disk is full.
    """
    name = request.name.strip()
    with about("name"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise UserError(
                "invalid-value",
                f"Expected a run name of letters, digits, dots, dashes and underscores that starts with a letter or "
                f"digit, got {name[:80]!r}; choose another name.",
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
    """Measure the duration of a step of the run on this machine.

    Raises:
        FieldError: a field is invalid.
        UserError: another run is active, so nothing can be measured.
    """
    arguments = checked_words(request, root=root, out=root / "measured")
    with _one_at_a_time(root):
        return _measured(arguments, None)


def checked_words(request: RunRequest, *, root: Path, out: Path) -> list[str]:
    """Convert the form to checked arguments of `python -m ecenet`. Data is prepared if necessary.

    Raises:
        FieldError: a field is invalid.
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
    """Return `known` if it was measured for the same run, regardless of its name; otherwise measure."""
    if known is not None and _nameless(known.words) == _nameless(arguments):
        return known
    with about("length"):
        return measure(arguments, nice=NICE)


def _nameless(words: Sequence[str]) -> list[str]:
    out = words.index("--out")
    return [*words[:out], *words[out + 2 :]]


def stop_run(name: str | None, *, root: Path) -> None:
    """Request the run's process to save the current step and end.

    Raises:
        UserError: the run is not active, or is already stopping (a second signal would end it without saving).
    """
    run = find_run(name, root=root)
    if run.state == "stopping":
        raise UserError(
            "wrong-run-state",
            f"Expected an active run, but {name} is already stopping; wait for its current step.",
        )
    if not run.active:
        raise UserError(
            "wrong-run-state", f"Expected an active run, but {name} is {run.state}; there is nothing to stop."
        )
    pid = process_id(run.folder)
    if pid is None or not (is_running(run.folder) or is_launched(run.folder)):
        raise UserError(
            "wrong-run-state", f"Expected an active run, but {name} has just ended; there is nothing to stop."
        )
    with disk_errors(run.folder / STOP):
        (run.folder / STOP).write_text(str(pid))
    try:
        os.kill(pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError) as error:
        (run.folder / STOP).unlink(missing_ok=True)
        raise UserError(
            "wrong-run-state",
            f"Expected one of your processes on this machine, but {pid} is not; stop {name} where it was started.",
        ) from error


def resume_run(name: str | None, *, root: Path) -> None:
    """Resume a stopped or failed run with the same command in the same directory.

    Raises:
        UserError: the run is in another state, its data can no longer be read, or another run is active.
    """
    run = find_run(name, root=root)
    if run.active or run.state == "finished":
        raise UserError(
            "wrong-run-state",
            f"Expected a stopped or failed run, but {name} is {run.state}; there is nothing to resume.",
        )
    if not run.directory.is_dir():
        raise UserError(
            "run-moved",
            f"Expected the directory {run.directory} in which {name} was started, but it is missing; restore it.",
        )
    config = check_settings(list(run.arguments), directory=run.directory)
    if (run.directory / config.out).resolve() != run.folder.resolve():
        raise UserError(
            "run-moved",
            f"Expected {name} in its original folder ({run.directory / config.out}), but it is in {run.folder}; "
            "move it back, or resume it on the command line with the new --out.",
        )
    with _one_at_a_time(root):
        _launch(run.folder, arguments=list(run.arguments), directory=run.directory, fresh=False)


def find_run(name: str | None, *, root: Path) -> RunReport:
    """Find a run by name; the name is never used as a path.

    Raises:
        UserError: the run does not exist.
    """
    for run in run_reports(root):
        if run.name == name:
            return run
    raise UserError("unknown-choice", f"Expected a run of the list, got {str(name)[:80]!r}; choose one of the list.")


def _refuse_taken(folder: Path) -> None:
    """Check that a folder is free. The remains of a run that failed to start may be overwritten.

    Raises:
        UserError: the folder contains a run or other files.
    """
    if (folder / "run.json").is_file():
        raise UserError(
            "name-taken",
            f"Expected a new run name, but {folder.name} exists already; choose another name, or select that run and "
            "press Resume.",
        )
    if folder.exists() and not (folder / LAUNCH).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            "name-taken", f"Expected a new run name, but {folder} contains other files; choose another name."
        )


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Check that no other run is active: two runs on one machine would each take more than twice as long."""
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
                    "stop it or wait until it has finished.",
                )
        yield
    finally:
        lock.release()


def _launch(folder: Path, *, arguments: list[str], directory: Path, fresh: bool) -> None:
    """Start a process that is not affected by the end of the app or by Ctrl-C in its terminal."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOP).unlink(missing_ok=True)
        with (folder / LOG).open("w" if fresh else "a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)  # inherited by the process, see `status.is_launched`
            log.write(f"$ {shlex.join(['python', '-m', 'ecenet', *arguments])}\n")
            log.flush()
            process = _detached(arguments, directory=directory, log=log)
            write_launch(folder, arguments=arguments, directory=directory, pid=process.pid)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    # Wait for its end, so that it does not stay in the process table.
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
