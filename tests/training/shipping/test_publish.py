"""A checkpoint to share: half the size, and its config tells what just these weights score."""

import json
import os
from pathlib import Path

import pytest
import torch

from ecenet.__main__ import main
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.class_map import read_class_map
from ecenet.evaluation.evaluate import evaluate
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import checkpoint_files, load_model, save_model
from ecenet.training.config import ModelConfig
from ecenet.training.shipping.publish import load_average
from tests.support.helpers import CLASS_NAMES, small_model, write_folder
from tests.support.refusals import assert_names


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


def test_the_model_card_says_classes_scores_data_licence_and_use(tmp_path: Path, data: Path) -> None:
    model, out = small_model(), tmp_path / "meadow"
    model.recipe = {"data": "farm", "train": {"steps": 300, "batch_size": 4, "start_from": "everyday"}}
    save_model(model, tmp_path / "best")
    assert main(["ship", str(tmp_path / "best"), "--out", str(out), "--data", str(data), "--license", "cc-by-4.0"]) == 0
    card = (out / "README.md").read_text()
    figures = json.loads((out / "config.json").read_text())["recipe"]["figures"]
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "More Information Needed" not in card
    assert "sky, grass and cat" in card
    assert f"| final | {100 * figures['miou_3']['final']:.1f} |" in card
    assert "2 photos of the split `val` of tiny" in card
    assert "farm for 300 steps of 4 images, starting from `everyday`" in card
    assert "ecenet predict" in card


def test_weights_without_a_licence_say_so(tmp_path: Path, data: Path) -> None:
    save_model(small_model(), tmp_path / "best")
    assert main(["ship", str(tmp_path / "best"), "--out", str(tmp_path / "out"), "--data", str(data)]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license:" not in card
    assert "No licence is specified" in card


def test_figures_may_be_of_data_with_other_classes(tmp_path: Path, data: Path) -> None:
    run, out, to_data = tmp_path / "run", tmp_path / "out", tmp_path / "map.json"
    save_model(small_model(), run / "best")
    to_data.write_text(json.dumps({"classes": {"sky": "grass", "cat": "cat"}, "rest": "sky"}))
    words = ["ship", str(run), "--out", str(out), "--data", str(data), "--map", str(to_data)]
    assert main(words) == 0
    val = read_folder(data, "val")
    class_map = read_class_map(to_data, weights_names=CLASS_NAMES, data_names=val.labels.class_names)
    measured = evaluate(Predictor(load_model(out)), val, class_map=class_map)
    figures = json.loads((out / "config.json").read_text())["recipe"]["figures"]
    assert figures["miou_3"]["final"] == pytest.approx(measured.miou)
    assert figures["per_class"] == pytest.approx(measured.per_class, nan_ok=True)


def test_who_may_read_the_config_may_read_the_weights(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_model(small_model(), tmp_path)
    finally:
        os.umask(before)
    assert [file.stat().st_mode & 0o777 for file in checkpoint_files(tmp_path)] == [0o644, 0o644]


def test_several_runs_are_averaged(tmp_path: Path, data: Path) -> None:
    models = [small_model(seed=seed) for seed in (0, 1)]
    for number, model in enumerate(models):
        save_model(model, tmp_path / f"{number}" / "model")
    averaged = load_average([tmp_path / "0" / "model", tmp_path / "1" / "model"]).state_dict()
    for name, tensor in models[0].state_dict().items():
        other = models[1].state_dict()[name]
        expected = (tensor + other) / 2 if tensor.is_floating_point() else tensor
        assert torch.allclose(averaged[name], expected, atol=1e-6), name
    alone = load_average([tmp_path / "0" / "model"]).state_dict()
    assert all(torch.equal(tensor, alone[name]) for name, tensor in models[0].state_dict().items())


def test_the_best_and_the_last_weights_of_a_run_are_averaged(tmp_path: Path, data: Path) -> None:
    models = {"best": small_model(seed=0), "model": small_model(seed=1)}
    for name, model in models.items():
        save_model(model, tmp_path / "run" / name)
    out = tmp_path / "out"
    for which, expected in (("best", [models["best"]]), ("model", [models["model"]]), ("both", [*models.values()])):
        words = ["ship", str(tmp_path / "run"), "--out", str(out), "--data", str(data), "--which", which]
        assert main(words) == 0
        weights = [model.get_parameter("backbone.network.conv_stem.weight").detach() for model in expected]
        shipped = load_model(out).get_parameter("backbone.network.conv_stem.weight")
        torch.testing.assert_close(shipped, torch.stack(weights).mean(dim=0).half().float())


def test_a_run_is_averaged_with_weights_that_have_left_theirs(tmp_path: Path, data: Path) -> None:
    models = [small_model(seed=0), small_model(seed=1)]
    save_model(models[0], tmp_path / "run" / "model")
    save_model(models[1], tmp_path / "former")
    out = tmp_path / "out"
    words = ["ship", str(tmp_path / "run"), str(tmp_path / "former"), "--which", "model"]
    assert main([*words, "--out", str(out), "--data", str(data)]) == 0
    weights = [model.get_parameter("backbone.network.conv_stem.weight").detach() for model in models]
    shipped = load_model(out).get_parameter("backbone.network.conv_stem.weight")
    torch.testing.assert_close(shipped, torch.stack(weights).mean(dim=0).half().float())


def test_runs_of_different_models_are_not_averaged(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(small_model(), tmp_path / "a" / "best")
    save_model(small_model(config=ModelConfig(embed_dim=8)), tmp_path / "b" / "best")
    words = ["ship", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out"), "--data", str(data)]
    assert main(words) == 2
    assert_names(capsys.readouterr().err, "Error", tmp_path / "a" / "best", tmp_path / "b" / "best")
    assert not list((tmp_path / "out").iterdir())


def test_a_run_without_a_model_is_told_so(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ship", str(tmp_path), "--out", str(tmp_path / "out"), "--data", str(data)]) == 2
    assert_names(capsys.readouterr().err, "Error", "weights", repr(str(tmp_path / "best")))
