"""A checkpoint to share: half the size, and its config tells what just these weights score."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import CLASS_COLORS, CLASS_NAMES, noise_image, small_model
from PIL import Image

from ecenet.__main__ import main
from ecenet.data.folder import read_folder
from ecenet.evaluate import evaluate
from ecenet.predictor import Predictor
from ecenet.weights import load_model, save_model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for kind in ("images", "masks"):
        (root / kind / "val").mkdir(parents=True)
    for number in range(2):
        noise_image(64, 48, seed=number).save(root / "images" / "val" / f"{number}.png")
        mask = np.random.default_rng(number).integers(0, 3, (48, 64), dtype=np.uint8)
        Image.fromarray(mask).save(root / "masks" / "val" / f"{number}.png")
    classes = [{"name": n, "color": c} for n, c in zip(CLASS_NAMES, CLASS_COLORS, strict=True)]
    (root / "classes.json").write_text(json.dumps({"name": "noise", "classes": classes}))
    return root


def test_shipped_weights_are_fp16_and_carry_their_own_scores(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    save_model(small_model(), run / "model")
    assert main(["ship", str(run), "--out", str(out), "--data", str(data), "--classes", "2", "--image-size", "96"]) == 0

    sizes = [(folder / "model.safetensors").stat().st_size for folder in (run / "model", out)]
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
