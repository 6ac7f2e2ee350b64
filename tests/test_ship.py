"""A checkpoint to share: half the size, and its config tells what just these weights score."""

import json
from pathlib import Path

import pytest
from helpers import small_model, write_folder

from ecenet.__main__ import main
from ecenet.data.folder import read_folder
from ecenet.evaluate import evaluate
from ecenet.predictor import Predictor
from ecenet.weights import load_model, save_model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data", splits=("val",), images=2)


def test_shipped_weights_are_fp16_and_carry_their_own_scores(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    save_model(small_model(), run / "best")
    assert main(["ship", str(run), "--out", str(out), "--data", str(data), "--classes", "2", "--image-size", "96"]) == 0

    sizes = [(folder / "model.safetensors").stat().st_size for folder in (run / "best", out)]
    assert sizes[1] < 0.55 * sizes[0]
    figures = json.loads((out / "config.json").read_text())["recipe"]["figures"]
    measured = evaluate(Predictor(load_model(out)), read_folder(data, "val"))
    assert figures["miou_3"]["final"] == pytest.approx(measured.miou)
    assert load_model(out).image_size == 96, "the size that it was measured at"
    assert set(figures["miou_2"]) == {"ece", "stage4", "stage3", "stage2", "stage1", "final"}
    assert "| final |" in capsys.readouterr().out


def test_a_run_without_a_model_is_told_so(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ship", str(tmp_path), "--out", str(tmp_path / "out"), "--data", str(data)]) == 2
    assert "Error: Expected weights" in capsys.readouterr().err
