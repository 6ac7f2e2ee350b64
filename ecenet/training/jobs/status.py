"""How runs are doing, read from their folders alone, whoever started them.

Besides what `ecenet/training/run_folder.py` lists, a run that the app started (`launcher.py`) has
launch.json  arguments, directory, process id; there before the run has written run.json
train.log    what the process prints, held locked for as long as it lives
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
"""Lines of the log that the pace is measured over: a few minutes at most, validations included."""
LOG_LINES = 15
"""Lines of a failed run's log that are shown."""
State = Literal["starting", "running", "stopping", "finished", "stopped", "failed"]
ACTIVE: tuple[State, ...] = ("starting", "running", "stopping")

_probing = threading.Lock()
"""Looking whether a lock is held takes it for a moment, and two who look would see each other."""


@dataclass(frozen=True)
class RunReport:
    """One run, as the Train tab shows it."""

    name: str
    """Its folder below the runs folder."""
    folder: Path
    state: State
    arguments: tuple[str, ...]
    """After `python -m ecenet`, in `directory`."""
    directory: Path
    started: str
    """ISO 8601, UTC."""
    step: int = 0
    steps: int | None = None
    """None before the run has read its data."""
    miou: float | None = None
    """Best validated, 0 … 1."""
    error: str = ""
    """Last error of its log, where it failed."""

    @property
    def active(self) -> bool:
        """Whether a process is at it."""
        return self.state in ACTIVE


@dataclass(frozen=True)
class Pace:
    images_per_second: float
    seconds_left: float


def run_reports(root: Path) -> list[RunReport]:
    """Every run below a folder, the newest first."""
    folders = folders_with(root, "run.json", LAUNCH)
    states = [state for folder in folders if (state := run_report(folder, root=root))]
    return sorted(states, key=lambda run: run.started, reverse=True)


def run_report(folder: Path, *, root: Path) -> RunReport | None:
    """None where the folder holds no run; its name is its path below `root`."""
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
        # A process that has held the folder before is not starting but about to end.
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
    """What `launch.json` says; None where it is missing or damaged."""
    try:
        launch = json.loads((folder / LAUNCH).read_text())
        complete = {"arguments", "directory", "started", "pid"} <= launch.keys()
    except (OSError, ValueError, AttributeError):
        return None
    return launch if complete else None


def write_launch(folder: Path, *, arguments: list[str], directory: Path, pid: int) -> None:
    """Whole or not at all."""
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    launch = {"arguments": arguments, "directory": str(directory), "started": started, "pid": pid}
    with replaced(folder / LAUNCH) as partial:
        partial.write_text(json.dumps(launch, indent=1))


def is_launched(folder: Path) -> bool:
    """Whether a process that the app started lives: it has inherited the lock on its log, and nobody else has it."""
    try:
        with (folder / LOG).open() as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # most of all: there is no log
        return False
    return False


def process_id(folder: Path) -> int | None:
    """Of the process that is at the run; only meaningful while there is one."""
    launch = read_launch(folder)
    return int(launch["pid"]) if launch is not None and is_launched(folder) else _read_number(folder / "pid")


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def last_error(folder: Path) -> str:
    """Why the process that the app started last ended, if it neither finished nor was asked to stop; else empty."""
    launch = read_launch(folder)
    if launch is None or launch["pid"] == _read_number(folder / STOP):
        return ""
    trainer = _read_number(folder / "pid")
    later = (folder / "pid").stat().st_mtime if trainer is not None else 0.0
    if trainer != launch["pid"] and later > (folder / LAUNCH).stat().st_mtime:
        return ""  # a command line has gone on with the run since: the log is an older process's
    lines = log_lines(folder, count=10_000)
    if lines and lines[-1] == "Stopped.":
        return ""
    errors = [number for number, line in enumerate(lines) if re.match(r"(Error: |[\w.]+(Error|Exception)\b)", line)]
    if errors:
        return " ".join(line.strip() for line in lines[errors[-1] :])[:400].removeprefix("Error: ")
    return "It ended without a word, as a process does when the system runs out of memory."


def log_lines(folder: Path, *, count: int = LOG_LINES) -> list[str]:
    """The last lines that the last process printed; of a progress bar only its last state."""
    try:
        # As bytes: reading text would turn the carriage returns of progress bars into lines.
        text = (folder / LOG).read_bytes().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    begin = max((number for number, line in enumerate(lines) if line.startswith("$ ")), default=-1)
    return [line for line in lines[begin + 1 :] if line][-count:]


def sample_pictures(folder: Path) -> list[tuple[int, Path]]:
    """(step, picture) of every validation, in order."""
    return sorted((int(path.stem.rpartition("-")[2]), path) for path in folder.glob("samples/step-*.jpg"))


def pace(run: RunReport) -> Pace | None:
    """How fast the run is going; None before it has logged twice."""
    logged = [entry for entry in read_metrics(run.folder) if entry.get("seconds")][-PACE_ENTRIES - 1 :]
    if len(logged) < 2 or run.steps is None:
        return None
    steps = logged[-1]["step"] - logged[0]["step"]
    seconds = sum(entry["seconds"] for entry in logged[1:])
    if steps <= 0 or seconds <= 0:
        return None
    batch = json.loads((run.folder / "run.json").read_text())["settings"]["batch_size"]
    return Pace(steps * batch / seconds, (run.steps - run.step) * seconds / steps)
