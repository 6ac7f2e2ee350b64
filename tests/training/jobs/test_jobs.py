"""Runs in processes of their own: begun, stopped, resumed, found again, and refused where they could not go well."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecenet.training.jobs import launcher as launch
from ecenet.training.jobs.form import RunRequest, check_settings, command_words, option_groups
from ecenet.training.jobs.launcher import resume_run, start_run, stop_run
from ecenet.training.jobs.status import RunReport, last_error, log_lines, pace, process_id, run_reports
from ecenet.training.recipe import option_words
from tests.support.helpers import write_folder, write_pair
from tests.support.processes import REPOSITORY
from tests.support.refusals import refused

MORE = (
    "--no-pretrained --embed-dim 8 --image-size 64 --frozen-steps 4 --warmup-steps 2 --precision fp32 "
    "--validate-every 1000 --save-every 1000"
)
DEADLINE = 240
"""Seconds: a process imports torch before it does anything, on a machine that may be busy."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runs folder; no process outlives the test, nor waits behind the tests beside it."""
    monkeypatch.setattr(launch, "NICE", 0)
    folder = tmp_path / "runs"
    yield folder
    for run in run_reports(folder):
        pid = process_id(run.folder)
        if run.active and pid is not None:
            os.kill(pid, signal.SIGKILL)


def request(data: Path, **changes: object) -> RunRequest:
    endless = RunRequest(name="mine", data=str(data), steps=100_000, batch_size=4, crop_size=32, more=MORE)
    return replace(endless, **changes)  # type: ignore[arg-type]


def only(root: Path) -> RunReport:
    (run,) = run_reports(root)
    return run


def wait_for(root: Path, met: Callable[[RunReport], bool]) -> RunReport:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        run = only(root)
        if met(run):
            return run
        assert run.active, (run, log_lines(run.folder))
        time.sleep(0.2)
    raise AssertionError((only(root), log_lines(only(root).folder)))


def test_a_run_is_started_stopped_and_resumed(root: Path, data: Path) -> None:
    assert start_run(request(data), root=root) == "mine"
    assert only(root).state == "starting"
    with refused("wrong-run-state", "mine", "starting"):
        resume_run("mine", root=root)
    with refused("run-busy", "mine", "starting"):
        start_run(request(data, name="other"), root=root)

    first = wait_for(root, lambda run: run.step >= 40)
    assert (first.state, first.steps) == ("running", 100_000)
    speed = pace(first)
    assert speed is not None
    assert speed.images_per_second > 0
    assert os.getsid(process_id(first.folder) or 0) != os.getsid(0), "closing the terminal must not end it"
    with refused("name-taken", "mine", "Resume"):
        start_run(request(data), root=root)

    stop_run("mine", root=root)
    with refused("wrong-run-state", "mine"):
        stop_run("mine", root=root)
    stopped = wait_for(root, lambda run: not run.active)
    assert stopped.state == "stopped"
    assert stopped.error == ""
    assert (stopped.folder / "last.pt").is_file(), "the step at hand was saved"
    assert log_lines(stopped.folder)[-1] == "Stopped."
    with refused("wrong-run-state", "mine", "stopped"):
        stop_run("mine", root=root)

    resume_run("mine", root=root)
    resumed = wait_for(root, lambda run: run.step > stopped.step)
    assert resumed.arguments == stopped.arguments
    assert resumed.started == stopped.started
    steps = [json.loads(line)["step"] for line in (resumed.folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)), "it went on, it did not begin again"


def test_a_run_that_dies_early_says_why_and_its_name_is_free_again(root: Path, data: Path) -> None:
    write_pair(data, "train", "bad", np.full((64, 64), 7, dtype=np.uint8))
    start_run(request(data), root=root)
    failed = wait_for(root, lambda run: not run.active)
    assert failed.state == "failed"
    assert "1 of 7 pairs" in failed.error
    assert "bad.png has 7" in failed.error, "the lines below belong to it"
    assert not (failed.folder / "run.json").exists()

    (data / "masks" / "train" / "bad.png").unlink()
    (data / "images" / "train" / "bad.png").unlink()
    start_run(request(data), root=root)
    stop_run("mine", root=root)
    assert wait_for(root, lambda run: not run.active).state == "stopped", "asked for, so no failure"


def test_a_process_that_vanishes_is_a_failure(root: Path, data: Path) -> None:
    start_run(request(data), root=root)
    os.kill(process_id(root / "mine") or 0, signal.SIGKILL)
    failed = wait_for(root, lambda run: not run.active)
    assert failed.state == "failed"
    assert "memory" in failed.error


def test_a_run_outlives_the_app_and_is_found_again(root: Path, data: Path) -> None:
    lines = (
        "from pathlib import Path",
        "from ecenet.training.jobs.launcher import start_run",
        "from ecenet.training.jobs.form import RunRequest",
        f"start_run(RunRequest('mine', {str(data)!r}, steps=9, more={MORE!r}), root=Path({str(root)!r}))",
    )
    app = subprocess.Popen([sys.executable, "-c", "; ".join(lines)], cwd=REPOSITORY, start_new_session=True)
    assert app.wait(timeout=DEADLINE) == 0
    with contextlib.suppress(ProcessLookupError):
        os.killpg(app.pid, signal.SIGHUP)  # as a terminal does that is closed
    assert only(root).state == "starting"
    with refused("run-busy", "mine", "starting"):
        start_run(request(data, name="other"), root=root)


@pytest.mark.parametrize("name", ["", "..", "a/b", "../up", ".hidden", "-rf", "a b", "a\n", "ü", "x" * 65])
def test_run_names_cannot_leave_the_folder(root: Path, data: Path, name: str) -> None:
    if name == "a\n":
        name = "a\nb"  # spaces around a name are forgiven
    with refused("invalid-value", repr(name)):
        start_run(request(data, name=name), root=root)
    assert not root.exists()


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"data": " "}, ("missing-value", "data folder")),
        ({"data": "/nowhere"}, ("data-missing", "/nowhere/images/train")),
        ({"layout": "camvid"}, ("data-missing", "701_StillsRaw_full")),
        ({"preset": "camvid-mobilenet"}, ("unknown-choice", "'camvid-mobilenet'", "camvid-mobilenetv2")),
        ({"backbone_weights": "none.safetensors"}, ("wrong-file", "none.safetensors")),
        ({"crop_size": 33}, ("out-of-range", "crop_size", 32, 33)),
        ({"more": "--embed-dimm 8"}, ("unknown-option", "--embed-dimm", "--embed-dim")),
        ({"more": "--out elsewhere"}, ("conflicting-options", "--out")),
        ({"more": "--data=elsewhere"}, ("conflicting-options", "--data")),
        ({"more": "8 --lr 1"}, ("invalid-value", "--name", "'8'")),
        ({"more": "--lr '1"}, ("invalid-value", "--lr '1")),
        ({"more": "--seed 1 --lr fast"}, ("invalid-value", "--lr fast", "train --help")),
        ({"more": "--help"}, ("unknown-option", "--help")),
    ],
)
def test_what_cannot_go_well_is_refused_before_anything_is_written(
    root: Path, data: Path, changes: dict[str, object], refusal: tuple[Any, ...]
) -> None:
    with refused(*refusal):
        start_run(replace(request(data), **changes), root=root)  # type: ignore[arg-type]
    assert not root.exists()


def test_a_folder_that_holds_something_else_is_left_alone(root: Path, data: Path) -> None:
    (root / "mine").mkdir(parents=True)
    (root / "mine" / "last.pt").write_bytes(b"old")
    with refused("name-taken", root / "mine"):
        start_run(request(data), root=root)


def test_only_listed_runs_are_stopped_or_resumed(root: Path) -> None:
    for name in ("../etc", "", None):
        for act in (stop_run, resume_run):
            with refused("unknown-choice", repr(str(name))):
                act(name, root=root)


def test_a_run_whose_words_were_lost_is_not_resumed(root: Path) -> None:
    (root / "mine").mkdir(parents=True)
    launch = {"arguments": ["train"], "directory": str(root), "started": "2026", "pid": 1}
    (root / "mine" / "launch.json").write_text(json.dumps(launch))
    with refused("conflicting-options", "'train'"):
        resume_run("mine", root=root)


def test_fields_stand_after_the_preset_and_further_options_last(data: Path) -> None:
    asked = request(data, preset="camvid-mobilenetv2", steps=7, batch_size=None, more="--lr=2e-3 --no_pretrained")
    words = command_words(asked, out=Path("runs/mine"))
    assert words[:3] == ["train", "--preset", "camvid-mobilenetv2"]
    config = check_settings(words)
    assert (config.steps, config.optimizer.lr, config.start.pretrained, config.data.image_size) == (7, 2e-3, False, 480)


def test_a_moved_run_is_not_resumed_elsewhere(root: Path, data: Path, tmp_path: Path) -> None:
    words = command_words(request(data), out=tmp_path / "before" / "mine")
    (root / "mine").mkdir(parents=True)
    launch = {"arguments": words, "directory": str(tmp_path), "started": "2026", "pid": 1}
    (root / "mine" / "launch.json").write_text(json.dumps(launch))
    with refused("run-moved", "mine", tmp_path / "before" / "mine", root / "mine", "--out"):
        resume_run("mine", root=root)


def test_a_log_shows_the_last_attempt_and_the_end_of_each_progress_bar(tmp_path: Path) -> None:
    (tmp_path / "launch.json").write_text('{"arguments": [], "directory": "", "started": "", "pid": 5}')
    (tmp_path / "train.log").write_text(
        "$ first\nError: old\n$ second\n10%\r20%\r\n\nTraceback\n  in f\nValueError: new\n"
    )
    assert log_lines(tmp_path) == ["20%", "Traceback", "  in f", "ValueError: new"]
    assert last_error(tmp_path) == "ValueError: new"
    (tmp_path / "stop").write_text("5")
    assert last_error(tmp_path) == "", "it was asked to end"


def test_every_preset_is_made_of_options_that_the_form_knows() -> None:
    assert option_groups(shlex.join(option_words({"lr": 1.0, "scale": (0.5, 2.0), "compile": True}))) == [
        ["--lr", "1.0"],
        ["--scale", "0.5", "2.0"],
        ["--compile"],
    ]
