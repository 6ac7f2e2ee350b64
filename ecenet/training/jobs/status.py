"""The state of runs, read from their folders.

In addition to the files listed in `ecenet/training/run_folder.py`, a run started by the app (`launcher.py`) has
launch.json  arguments, directory, process id; written before run.json
train.log    output of the process, locked as long as it lives
stop         id of the process that was asked to stop
"""

import fcntl
import json
import re
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from ecenet.common.files import folders_with, replaced
from ecenet.training.run_folder import RunSummary, is_running, read_metrics, summarise_run

LAUNCH, LOG, STOP = "launch.json", "train.log", "stop"
PACE_ENTRIES = 10
"""Number of log lines over which the speed is measured: a few minutes at most, including validations."""
LOG_LINES = 15
"""Number of log lines that are shown for a failed run."""
State = Literal["starting", "running", "stopping", "finished", "stopped", "failed"]
ACTIVE: tuple[State, ...] = ("starting", "running", "stopping")

_probing = threading.Lock()
"""Testing a lock acquires it briefly, so concurrent tests would see each other."""


@dataclass(frozen=True)
class RunReport:
    """The state of a run, as shown in the Train tab."""

    name: str
    """Path of its folder below the folder of runs."""
    folder: Path
    state: State
    arguments: tuple[str, ...]
    """Arguments of `python -m ecenet` in `directory`."""
    directory: Path
    started: str
    """ISO 8601, UTC."""
    step: int = 0
    steps: int | None = None
    """None before the run has read its data."""
    miou: float | None = None
    """Best validation mIoU, 0 … 1."""
    error: str = ""
    """Last error in its log, if it failed."""

    @property
    def active(self) -> bool:
        """Whether a process is running."""
        return self.state in ACTIVE


@dataclass(frozen=True)
class Pace:
    images_per_second: float
    seconds_left: float


def run_reports(root: Path) -> list[RunReport]:
    """Return all runs below a folder, newest first."""
    folders = folders_with(root, "run.json", LAUNCH)
    states = [state for folder in folders if (state := run_report(folder, root=root))]
    return sorted(states, key=lambda run: run.started, reverse=True)


def run_report(folder: Path, *, root: Path) -> RunReport | None:
    """Return the state of the run in a folder, or None if it contains no run. Its name is the path below `root`."""
    with _probing:
        summary = summarise_run(folder)
        trained = is_running(folder)
        launched = is_launched(folder)
    launch = read_launch(folder)
    run = _described(folder, summary, launch, name=folder.relative_to(root).as_posix())
    if run is None:
        return None
    if trained or launched:
        asked = (folder / STOP).is_file() and process_id(folder) == _read_number(folder / STOP)
        # A process that has already locked the folder is ending, not starting.
        begun = trained or _read_number(folder / "pid") == process_id(folder)
        return replace(run, state="stopping" if asked else "running" if begun else "starting")
    if summary is not None and summary.status == "finished":
        return replace(run, state="finished")
    error = last_error(folder)
    if not error and summary is not None and _read_number(folder / STOP) != _read_number(folder / "pid"):
        error = summary.error
    return replace(run, state="failed", error=error) if error else run


def _described(
    folder: Path, summary: RunSummary | None, launch: dict[str, Any] | None, *, name: str
) -> RunReport | None:
    if summary is not None:
        return RunReport(
            name=name,
            folder=folder,
            state="stopped",
            arguments=summary.arguments,
            directory=summary.directory,
            started=summary.started,
            step=summary.step,
            steps=summary.steps,
            miou=summary.miou,
        )
    if launch is None:
        return None
    arguments, directory = tuple(launch["arguments"]), Path(launch["directory"])
    return RunReport(name, folder, "stopped", arguments, directory, launch["started"])


def read_launch(folder: Path) -> dict[str, Any] | None:
    """Return the content of `launch.json`, or None if it is missing or damaged."""
    try:
        launch = json.loads((folder / LAUNCH).read_text())
        complete = {"arguments", "directory", "started", "pid"} <= launch.keys()
    except (OSError, ValueError, AttributeError):
        return None
    return launch if complete else None


def write_launch(folder: Path, *, arguments: list[str], directory: Path, pid: int) -> None:
    """Write `launch.json` atomically."""
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    launch = {"arguments": arguments, "directory": str(directory), "started": started, "pid": pid}
    with replaced(folder / LAUNCH) as partial:
        partial.write_text(json.dumps(launch, indent=1))


def is_launched(folder: Path) -> bool:
    """Return whether a process started by the app is alive: it has inherited the lock on its log."""
    try:
        with (folder / LOG).open() as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # usually there is no log
        return False
    return False


def process_id(folder: Path) -> int | None:
    """Return the id of the run's process, which is meaningful only while it is running."""
    launch = read_launch(folder)
    return int(launch["pid"]) if launch is not None and is_launched(folder) else _read_number(folder / "pid")


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def last_error(folder: Path) -> str:
    """Return why the last process started by the app failed, or "" if it finished or was stopped."""
    launch = read_launch(folder)
    if launch is None or launch["pid"] == _read_number(folder / STOP):
        return ""
    trainer = _read_number(folder / "pid")
    later = (folder / "pid").stat().st_mtime if trainer is not None else 0.0
    if trainer != launch["pid"] and later > (folder / LAUNCH).stat().st_mtime:
        return ""  # the run was resumed on the command line, so the log is that of an older process
    lines = log_lines(folder, count=10_000)
    if lines and lines[-1] == "Stopped.":
        return ""
    errors = [number for number, line in enumerate(lines) if re.match(r"(Error: |[\w.]+(Error|Exception)\b)", line)]
    if errors:
        return " ".join(line.strip() for line in lines[errors[-1] :])[:400].removeprefix("Error: ")
    return "The process ended without a message: it was killed or ran out of memory."


def log_lines(folder: Path, *, count: int = LOG_LINES) -> list[str]:
    """Return the last lines of the last process's output; only the final state of progress bars."""
    try:
        # As bytes, since text mode would convert the carriage returns of progress bars to line ends.
        text = (folder / LOG).read_bytes().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    begin = max((number for number, line in enumerate(lines) if line.startswith("$ ")), default=-1)
    return [line for line in lines[begin + 1 :] if line][-count:]


def sample_pictures(folder: Path) -> list[tuple[int, Path]]:
    """Return (step, picture) of every validation, in order."""
    return sorted((int(path.stem.rpartition("-")[2]), path) for path in folder.glob("samples/step-*.jpg"))


def pace(run: RunReport) -> Pace | None:
    """Return the speed of a run, or None before it has logged twice."""
    logged = [entry for entry in read_metrics(run.folder) if entry.get("seconds")][-PACE_ENTRIES - 1 :]
    if len(logged) < 2 or run.steps is None:
        return None
    steps = logged[-1]["step"] - logged[0]["step"]
    seconds = sum(entry["seconds"] for entry in logged[1:])
    if steps <= 0 or seconds <= 0:
        return None
    batch = json.loads((run.folder / "run.json").read_text())["settings"]["batch_size"]
    return Pace(steps * batch / seconds, (run.steps - run.step) * seconds / steps)
