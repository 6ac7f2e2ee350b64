"""The command line, run as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data

from ecenet.__main__ import main
from ecenet.inference.weights import load_model, save_model
from tests.support.helpers import small_model, write_classes, write_folder
from tests.support.refusals import assert_names

CHELSEA = Path(skimage.data.__file__).parent / "chelsea.png"


def test_evaluate_writes_the_scores(tmp_path: Path, weights: str) -> None:
    write_folder(tmp_path, splits=("val",), images=1)
    out = tmp_path / "scores.json"
    options = ["--weights", weights, "--data", str(tmp_path), "--split", "val", "--classes", "2", "--json", str(out)]
    assert main(["evaluate", *options]) == 0
    scores = json.loads(out.read_text())
    assert set(scores) >= {"miou", "per_class", "pixel_accuracy", "stages", "images", "seconds_per_image"}
    assert scores["images"] == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["predict", "missing.jpg", "--out", "out", "--weights", "{weights}"], ["missing.jpg"]),
        (["predict", str(CHELSEA), "--out", "out", "--weights", "no-such-weights"], ["'no-such-weights'"]),
        (["predict", "--out", "out", "--weights", "{weights}"], ["photo"]),
        (
            ["predict", str(CHELSEA), "--out", "out", "--opacity", "2", "--weights", "{weights}"],
            ["--opacity", "0 and 1", "2.0"],
        ),
        (["evaluate", "--data", "nowhere", "--weights", "{weights}"], ["nowhere/images/val"]),
        (["train", "--data", "nowhere", "--out", "run"], ["nowhere/images/train"]),
        (
            ["train", "--data", "nowhere", "--out", "run", "--preset", "everyday-efficientnet"],
            ["'everyday-efficientnet'", "everyday-efficientnet-lite2"],
        ),
        (["predict", str(CHELSEA), "--out", "{file}", "--weights", "{weights}"], ["folder", "{file}"]),
    ],
)
def test_bad_input_ends_with_one_sentence_and_exit_code_2(
    arguments: list[str],
    named: list[str],
    weights: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    filled = [a.format(weights=weights, file=tmp_path / "file") if "{" in a else a for a in arguments]
    assert main(filled) == 2
    message = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(message) == 1
    assert_names(message[0], *(one.format(file=tmp_path / "file") for one in named))


def test_a_map_is_proposed_corrected_and_evaluated_with(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_folder(tmp_path / "data", splits=("val",), images=2)
    write_classes(data, names=["background", "lawn", "animal"])
    assert main(["map", weights, str(data)]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"classes": {"grass": "lawn"}, "rest": "background"}
    assert "classes of the weights: sky, cat" in told.err
    assert "classes of the data: animal" in told.err
    path = tmp_path / "maps" / "map.json"
    assert main(["map", weights, str(data), "--out", str(path)]) == 0
    content = json.loads(path.read_text())
    content["classes"]["cat"] = "animal"
    path.write_text(json.dumps(content))

    evaluated = ["--weights", weights, "--data", str(data), "--map", str(path)]
    assert main(["evaluate", *evaluated, "--json", str(tmp_path / "scores.json")]) == 0
    assert list(json.loads((tmp_path / "scores.json").read_text())["per_class"]) == ["background", "lawn", "animal"]
    assert main(["embed", *evaluated, "--out", str(tmp_path / "bank.parquet")]) == 0
    assert "| stage | purity |" in capsys.readouterr().out
    bank = str(tmp_path / "bank.parquet")
    assert main(["consistency", "--bank", bank, "--val", bank]) == 2
    assert_names(capsys.readouterr().err, "bank.parquet", "--map")
    path.write_text('{"classes": {"gras": "lawn"}}')
    assert main(["evaluate", *evaluated]) == 2
    assert_names(capsys.readouterr().err, "gras", "grass")


def test_embeddings_are_measured_unless_told_not_to(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, splits=("val",), images=1)
    command = ["evaluate", "--weights", weights, "--data", str(tmp_path)]
    assert main([*command, "--no-embeddings"]) == 0
    assert json.loads(capsys.readouterr().out)["embedding_quality"] == {}


def test_calibrating_writes_the_temperature_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "weights"
    save_model(small_model(), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    data = write_folder(tmp_path / "data", splits=("val",), images=2)
    command = ["calibrate", "--weights", str(folder), "--data", str(data), "--json", str(tmp_path / "found.json")]
    assert main([*command, "--dry-run"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main(command) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert load_model(folder).temperature == found["temperature"] != 1
    assert load_model(folder).unsure_below == found["unsure_below"]
    assert (folder / "model.safetensors").read_bytes() == before["model.safetensors"]
    assert "expected calibration error" in capsys.readouterr().out
    assert main(["calibrate", "--weights", str(tmp_path / "nothing"), "--data", str(data)]) == 2


def test_a_process_ends_with_code_2_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ecenet", "predict", str(CHELSEA), "--weights", "nope", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nope" in done.stderr


def test_benchmark_reports_ratios(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    assert main(["benchmark", "--width", "64", "--height", "48", "--rounds", "1", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["ratios"]["every stage / logits"] > 0
    assert figures["weights"] == "random"
