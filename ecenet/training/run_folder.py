"""The folder of a run.

run.json       settings, command, versions, commit
metrics.jsonl  one line every few steps and for each validation
samples/       pictures of a few validation photos; embeddings/ their class embeddings
model/         averaged weights of the last validation; best/ of the best one
last.pt        the state for resuming
ending         how the last process ended
"""

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import folders_with, replaced
from ecenet.common.version import commit

RUNS_DIR = Path("runs")
"""Default folder of runs."""
RunStatus = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class RunSummary:
    """Summary of a run: a line of `python -m ecenet runs`."""

    folder: Path
    status: RunStatus
    step: int
    steps: int
    miou: float | None
    """Best validation mIoU, 0 … 1; None before the first validation."""
    data: str
    started: str
    """ISO 8601, UTC."""
    arguments: tuple[str, ...]
    """Arguments of `python -m ecenet` in `directory` that started the run and resume it."""
    directory: Path
    error: str = ""
    """Reason of a failure."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def command(self) -> str:
        return shlex.join(["python", "-m", "ecenet", *self.arguments])


def describe_run(out: Path, *, settings: dict[str, Any], processes: int) -> None:
    """Write `run.json`. When a run is resumed, only a larger number of steps and the command are updated."""
    path = out / "run.json"
    if path.is_file():
        description = json.loads(path.read_text(encoding="utf-8"))
        if description["settings"]["steps"] != settings["steps"]:
            description["settings"]["steps"] = settings["steps"]
            description |= {"arguments": sys.argv[1:], "directory": str(Path.cwd())}
            with replaced(path) as partial:
                partial.write_text(json.dumps(description, indent=1))
        return
    description = {
        "arguments": sys.argv[1:],
        "directory": str(Path.cwd()),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": {name: version(name) for name in ("torch", "torchvision", "timm", "accelerate")},
        "python": platform.python_version(),
        "processes": processes,
        "settings": settings,
    }
    with replaced(path) as partial:
        partial.write_text(json.dumps(description, indent=1))


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Lock the folder of a run; the lock is released when the process ends, even if it is killed.

    Raises:
        UserError: another process is training in the folder, or it is not writable.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / "run.lock", timeout=3):
            (out / "pid").write_text(str(os.getpid()))
            with _ending_noted(out):
                yield
    except Timeout as error:
        raise UserError(
            "run-busy",
            f"Expected no other training in {out}, but another process is training there; stop it or choose another "
            "--out.",
        ) from error
    except PermissionError as error:
        raise UserError(
            "not-writable", f"Expected a writable folder, but {out} is not writable; choose another --out."
        ) from error


@contextmanager
def _ending_noted(out: Path) -> Iterator[None]:
    """Write how the process ended to `ending`. The file is empty while it runs, and stays empty if it is killed."""
    ending, before = "finished", ""
    with suppress(OSError):  # do not hide another error on a full disk
        before = (out / "ending").read_text(encoding="utf-8") if (out / "ending").is_file() else "stopped"
        (out / "ending").write_text("")
    try:
        yield
    except KeyboardInterrupt:
        ending = "stopped"
        raise
    except BaseException as error:
        refused = isinstance(error, UserError) and error.code == "changed-settings"
        ending = before if refused else f"failed: {' '.join(str(error).split()) or type(error).__name__}"
        raise
    finally:
        with suppress(OSError):
            (out / "ending").write_text(ending, encoding="utf-8")


def failure(out: Path) -> str:
    """Return the reason why the last process of a run failed, or "" if it did not fail or the reason is unknown."""
    try:
        ending = (out / "ending").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    if not ending:
        return "The process ended without a message: it was killed or ran out of memory."
    return ending.removeprefix("failed: ") if ending.startswith("failed: ") else ""


def is_running(out: Path) -> bool:
    """Return whether a process is training in the folder."""
    if not (out / "run.lock").is_file():
        return False
    try:
        with FileLock(out / "run.lock", timeout=0):
            return False
    except Timeout:
        return True


def log(out: Path, entry: dict[str, object]) -> None:
    """Append one line to `metrics.jsonl`.

    Raises:
        UserError: the disk is full.
    """
    with disk_errors(out / "metrics.jsonl"), (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(entry, allow_nan=False) + "\n")


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """Return all complete lines of `metrics.jsonl`; the last line may be incomplete."""
    path = out / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def forget_log(out: Path, *, after: int) -> None:
    """Delete log lines after the last checkpoint of a killed run, since those steps will be logged again."""
    kept = [entry for entry in read_metrics(out) if entry["step"] <= after]
    path = out / "metrics.jsonl"
    if path.is_file():
        with replaced(path) as partial:
            partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept))


def summarise_run(out: Path) -> RunSummary | None:
    """Return the summary of a run, or None if the folder does not contain one."""
    try:
        description = json.loads((out / "run.json").read_text())
        settings = description["settings"]
        entries = read_metrics(out)
        step = max((entry["step"] for entry in entries), default=0)
        validated = [entry["val"]["miou"] for entry in entries if entry.get("val", {}).get("miou") is not None]
        done = (out / "model" / "config.json").is_file() and step >= settings["steps"]
        status: RunStatus = "running" if is_running(out) else "finished" if done else "stopped"
        error = failure(out) if status == "stopped" else ""
        return RunSummary(
            folder=out,
            status="failed" if error else status,
            step=step,
            steps=settings["steps"],
            miou=max(validated, default=None),
            data=str(settings["data"]),
            started=description["started"],
            arguments=tuple(description["arguments"]),
            directory=Path(description["directory"]),
            error=error,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def list_runs(root: Path = RUNS_DIR) -> list[RunSummary]:
    """Return all runs below a folder, newest first."""
    summaries = [summary for folder in folders_with(root, "run.json") if (summary := summarise_run(folder))]
    return sorted(summaries, key=lambda summary: summary.started, reverse=True)


def runs_table(summaries: list[RunSummary]) -> str:
    """Return a fixed-width table for the terminal."""
    rows = [("run", "status", "step", "best mIoU", "data", "started")]
    for run in summaries:
        miou = "–" if run.miou is None else f"{100 * run.miou:.1f}"
        rows.append((str(run.folder), run.status, f"{run.step}/{run.steps}", miou, run.data, run.started[:16]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
