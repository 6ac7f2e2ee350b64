"""What a run leaves in its folder, and what is said about it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ecenet.__main__ import main
from ecenet.analysis.embeddings.points import EmbeddingPoints
from ecenet.training.config import TrainConfig
from ecenet.training.jobs.status import run_reports
from ecenet.training.loop import train
from ecenet.training.run_folder import is_running, list_runs, locked, read_metrics, summarise_run
from ecenet.training.snapshots import class_separation
from tests.support.helpers import changed, tiny_training, write_folder
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    root = tmp_path_factory.mktemp("runs")
    data = write_folder(root / "data", images=3)
    options = {"steps": 20, "frozen_steps": 20, "validate_every": 10, "tensorboard": True, "contrast_weight": 0.1}
    return tiny_training(data, root / "runs" / "first", **options)


@pytest.fixture(scope="module")
def run(config: TrainConfig) -> Path:
    train(config)
    return config.out


def test_the_folder_says_how_it_came_about(run: Path) -> None:
    description = json.loads((run / "run.json").read_text())
    assert description["settings"]["steps"] == 20
    assert description["settings"]["class_names"] == ["sky", "grass", "cat"]
    assert description["versions"]["torch"] == torch.__version__.split("+")[0]
    assert set(description) >= {"arguments", "directory", "commit", "started"}


def test_metrics_tell_losses_times_scores_and_separation(run: Path) -> None:
    entries = read_metrics(run)
    first, last = (entry for entry in entries if "val" in entry)
    step = [entry for entry in entries if "total" in entry][-1]
    assert [entry["step"] for entry in (first, step, last)] == [10, 20, 20]
    assert step["seconds"] > 0
    assert step["lr"] > 0
    assert step["contrast"] > 0
    assert step["jaccard"] == 0, "its weight is"
    assert set(last["val"]["stages"]) == {"ece", "stage4", "stage3", "stage2", "stage1", "final"}
    assert all(-1 <= value <= 1 for value in last["separation"].values())


def test_pictures_and_embeddings_are_kept_for_replay(run: Path) -> None:
    for step in (10, 20):
        picture = Image.open(run / "samples" / f"step-{step:06}.jpg")
        assert picture.size == (4 * 320, 3 * 68), "three photos of 64×64: photo, truth, coarse, final"
        points = np.load(run / "embeddings" / f"step-{step:06}.npz")
        assert len({len(points[name]) for name in points.files}) == 1
        assert points["vectors"].shape[1] == 8


def test_tensorboard_gets_the_same_figures(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folders = {path.parent for path in run.glob("tensorboard/**/events.*")}
    assert len(folders) == 1
    (folder,) = folders
    events = EventAccumulator(str(folder)).Reload()
    total = events.Scalars("total")[-1]
    logged = [entry for entry in read_metrics(run) if "total" in entry][-1]
    assert (total.step, total.value) == (20, pytest.approx(logged["total"], abs=1e-5))
    assert [event.step for event in events.Scalars("val/final")] == [10, 20]


def test_runs_are_listed_the_newest_first(run: Path, config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    second = run.parent / "second"
    second.mkdir()
    description = json.loads((run / "run.json").read_text())
    (second / "run.json").write_text(json.dumps(description | {"started": "2999-01-01T00:00:00+00:00"}))
    (run.parent / "third").mkdir()
    (run.parent / "third" / "run.json").write_text("{")

    newest, oldest = list_runs(run.parent)
    assert (newest.name, newest.status, newest.step, newest.miou) == ("second", "stopped", 0, None)
    assert (oldest.name, oldest.status, oldest.step, oldest.steps) == ("first", "finished", 20, 20)
    assert oldest.miou == max(entry["val"]["miou"] for entry in read_metrics(run) if "val" in entry)

    assert main(["runs", str(run.parent)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["run", "status", "step"]
    assert [row.split()[0] for row in rows] == [str(newest.folder), str(oldest.folder)]
    assert summarise_run(run.parent) is None


def test_two_processes_cannot_train_in_one_folder(config: TrainConfig, tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from ecenet.training.run_folder import locked
with locked(Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert is_running(tmp_path)
        assert int((tmp_path / "pid").read_text()) == other.pid
        with refused("run-busy", tmp_path, "--out"), locked(tmp_path):
            pass
    finally:
        other.kill()
        other.wait()
    assert not is_running(tmp_path), "the lock ends with its process"
    with locked(tmp_path):
        assert is_running(tmp_path)


def test_a_checkpoint_of_another_kind_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, tmp_path / "last.pt")
    with refused("wrong-file", tmp_path / "last.pt", "--out"):
        train(changed(config, out=tmp_path))


def test_separation_is_high_where_classes_lie_apart() -> None:
    apart = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    mixed = np.array([[1.0, 0], [0, 1], [1, 0.1], [0.1, 1]])
    vectors = np.concatenate([apart, mixed, apart[:1]])
    count = len(vectors)
    points = EmbeddingPoints(
        vectors=vectors,
        image=np.arange(count),
        stage=np.array(["ece"] * 4 + ["stage1"] * 4 + ["stage2"]),
        class_index=np.array([0, 0, 1, 1, 0, 0, 1, 1, 0]),
        area=np.ones(count),
        confidence=np.ones(count),
    )
    separation = class_separation(points)
    assert separation["ece"] > 0.9
    assert separation["stage1"] < 0
    assert "stage2" not in separation, "one class lies apart from nothing"


def test_a_run_that_failed_or_was_killed_is_not_called_stopped(config: TrainConfig, tmp_path: Path) -> None:
    failing = changed(config, out=tmp_path / "nan", lr=1e30, warmup_steps=0, tensorboard=False)
    with refused("loss-not-finite", "lr"):
        train(failing)
    summary = summarise_run(failing.out)
    assert summary is not None
    assert summary.status == "failed"
    assert "nan" in summary.error
    (report,) = run_reports(tmp_path)
    assert (report.state, report.error) == ("failed", summary.error)

    (failing.out / "ending").write_text("")  # what kill -9 leaves
    summary = summarise_run(failing.out)
    assert summary is not None
    assert summary.status == "failed"
    (failing.out / "ending").write_text("stopped")
    summary = summarise_run(failing.out)
    assert summary is not None
    assert summary.status == "stopped"


def test_a_finished_run_goes_on_with_more_steps_and_not_with_fewer(config: TrainConfig, tmp_path: Path) -> None:
    short = changed(config, out=tmp_path / "run", steps=4, validate_every=4, tensorboard=False, frozen_steps=None)
    train(short)
    train(changed(short, steps=8))
    assert [entry["step"] for entry in read_metrics(short.out) if "val" in entry] == [4, 8]
    settings = json.loads((short.out / "run.json").read_text())["settings"]
    assert settings["steps"] == 8
    assert settings["frozen_steps"] == 0, "as it began"
    summary = summarise_run(short.out)
    assert summary is not None
    assert (summary.status, summary.step, summary.steps) == ("finished", 8, 8)
    with refused("changed-settings", "steps 8 → 6"):
        train(changed(short, steps=6))
