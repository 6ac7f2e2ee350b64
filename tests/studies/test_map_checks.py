"""Leakage and robustness over a split."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecenet.__main__ import main
from ecenet.analysis.diagnostics.map_checks import check_map
from ecenet.data.layouts.folder import read_folder
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from ecenet.studies.map_checks import MEASURES, MapScore, map_table, score_maps
from tests.support.helpers import small_model, write_folder
from tests.support.refusals import refused


def test_means_are_over_the_photos_largest_classes(tmp_path: Path) -> None:
    predictor = Predictor(small_model(), device="cpu", half=False)
    data = read_folder(write_folder(tmp_path, splits=("val",), images=2), "val")
    scores = {(one.stage, one.measure): one for one in score_maps(predictor, data, stages=["stage2"])}
    assert list(scores) == [("stage2", measure) for measure in MEASURES]
    checks = []
    for index in range(2):
        prediction = predictor.predict(data.load(index)[0])
        k = prediction.final.present()[0]
        checks.append(check_map(predictor, prediction, stage="stage2", class_index=k))
    robustness = scores["stage2", "robustness"]
    assert robustness.mean == pytest.approx(np.mean([one.robustness for one in checks]))
    assert robustness.untrained == pytest.approx(np.mean([one.untrained_robustness for one in checks]))
    assert robustness.lower == np.mean([one.robustness < one.untrained_robustness for one in checks])
    known = [one for one in checks if np.isfinite([one.leakage.outside, one.untrained_leakage.outside]).all()]
    assert scores["stage2", "leakage outside the class"].photos == len(known)
    with refused("unknown-choice", "stage9", "stage1"):
        score_maps(predictor, data, stages=["stage9"])


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(small_model(), tmp_path / "weights")
    data = write_folder(tmp_path / "data", splits=("val",), images=2)
    words = ["faithfulness", "--data", str(data), "--weights", str(tmp_path / "weights"), "--limit", "1"]
    assert main([*words, "--stages", "ece", "final", "--json", str(tmp_path / "scores.json")]) == 0
    assert "| final | robustness | 1 |" in capsys.readouterr().out
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [one["stage"] for one in scores] == ["ece"] * 3 + ["final"] * 3


def test_the_table_tells_means_and_how_often_the_map_is_lower() -> None:
    table = map_table([MapScore("ece", "robustness", 4, 0.5, 0.25, 0.75)])
    assert table.splitlines()[-1] == "| ece | robustness | 4 | 0.500 | 0.250 | 75% |"
