"""A run that is killed, stopped or out of disk loses nothing that it had saved, and ends as if nothing had happened."""

import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ecenet.training.run_folder import is_running, read_metrics, summarise_run
from tests.support.helpers import write_folder
from tests.support.processes import arguments, finish, start
from tests.support.refusals import assert_names


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"), images=4)


RUN = {"steps": 60, "save_every": 3, "validate_every": 30}
"""Long enough that a busy machine cannot end it before it is killed."""


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(arguments(data, out, **RUN)))
    return out


def checkpoint(run: Path) -> dict[str, Any]:
    return torch.load(run / "last.pt", weights_only=True)


def wait_for_step(run: Path, step: int) -> None:
    """Until the checkpoint has reached the step."""
    deadline = time.monotonic() + 120
    while not (run / "last.pt").is_file() or checkpoint(run)["step"] < step:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_at_three_random_steps_it_ends_bit_for_bit_like_the_whole_run(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    words = arguments(data, tmp_path / "run", **RUN)
    for step in sorted(random.sample(range(3, 16), 3)):
        process = start(words)
        wait_for_step(tmp_path / "run", step)
        time.sleep(random.random() / 10)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert step <= checkpoint(tmp_path / "run")["step"] < RUN["steps"]
    finish(start(words))

    ours, theirs = checkpoint(tmp_path / "run"), checkpoint(whole)
    assert ours["step"] == theirs["step"] == RUN["steps"]
    assert ours["best"] == theirs["best"]
    for part in ("model", "averaged"):
        assert ours[part].keys() == theirs[part].keys()
        assert all(torch.equal(value, theirs[part][key]) for key, value in ours[part].items())
    for key, value in ours["optimizer"]["state"].items():
        assert all(torch.equal(entry, theirs["optimizer"]["state"][key][name]) for name, entry in value.items())
    for folder in ("model", "best"):
        name = f"{folder}/model.safetensors"
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()

    def without_times(run: Path) -> list[dict[str, Any]]:
        entries = read_metrics(run)
        for entry in entries:
            entry.pop("seconds", None)
            entry.get("val", {}).pop("seconds_per_image", None)
        return entries

    assert without_times(tmp_path / "run") == without_times(whole)
    assert not list((tmp_path / "run").glob("*.part"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_asked_to_stop_saves_the_step_at_hand(data: Path, tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    process = start(arguments(data, run, **RUN | {"steps": 4000, "save_every": 3000, "validate_every": 3000}))
    deadline = time.monotonic() + 120
    while not read_metrics(run):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert is_running(run)
    os.killpg(process.pid, number)  # all of its processes, as a terminal or a batch system asks
    output = finish(process, code=130)
    assert "Stopped" in output
    assert "Traceback" not in output
    assert 20 <= checkpoint(run)["step"] < 4000
    summary = summarise_run(run)
    assert summary is not None
    assert summary.status == "stopped"


def test_a_full_disk_is_reported_and_the_last_checkpoint_stays(data: Path, whole: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the same calls fail."""
    run = tmp_path / "run"
    words = arguments(data, run, **RUN)
    process = start(words)
    wait_for_step(run, 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = (run / "last.pt").read_bytes()

    full = arguments(data, run, **RUN | {"save_every": 12})  # fewer attempts
    output = finish(start(full, max_file_bytes=len(before) // 2), code=2)
    assert re.search(rf"Warning: .*{re.escape(str(run / 'last.pt'))}", output), "the run goes on while it can"
    last = output.splitlines()[-1]
    assert last.startswith("Error: ")
    assert_names(last, run / "last.pt", "free disk space", "same command")
    assert "Traceback" not in output
    assert (run / "last.pt").read_bytes() == before
    assert not list(run.glob("*.part"))

    finish(start(words))
    ours, theirs = checkpoint(run)["model"], checkpoint(whole)["model"]
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
