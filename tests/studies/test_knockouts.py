"""Parts of the head switched off over a whole split."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecenet.__main__ import main
from ecenet.analysis.interventions.scenario import KnockOuts
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.evaluate import evaluate
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from ecenet.studies.knockouts import WHOLE, KnockOutScore, knock_out_table, knock_outs_of, score_knock_outs
from ecenet.training.config import ModelConfig
from tests.support.helpers import small_model, write_folder


def test_every_part_is_switched_off_by_itself() -> None:
    parts = knock_outs_of(small_model())
    assert parts[WHOLE] == KnockOuts()
    assert parts["attention at stage3"] == KnockOuts(attention_off=("stage3",))
    assert parts["gate at 0"].gate == 0
    assert len(parts) == 1 + 1 + 2 * (4 + 1) + 3


def test_what_a_model_has_not_is_not_switched_off() -> None:
    plain = small_model(config=ModelConfig(embed_dim=16, updater="added", reconstruction="off"))
    names = list(knock_outs_of(plain))
    assert not any("gate" in name or "diverse" in name for name in names)
    assert "updater at stage4" in names
    off = small_model(config=ModelConfig(embed_dim=16, updater="off"))
    assert not any("updater" in name for name in knock_outs_of(off))


def test_the_whole_head_scores_what_evaluate_says(tmp_path: Path) -> None:
    predictor = Predictor(small_model())
    data = read_folder(write_folder(tmp_path, splits=("val",), images=4), "val")
    whole, *others = score_knock_outs(predictor, data)
    assert whole.off == WHOLE
    assert whole.miou == pytest.approx(evaluate(predictor, data).miou)
    assert (whole.change, whole.changed_pixels) == (0, 0)
    assert all(one.change == pytest.approx(one.miou - whole.miou) for one in others)
    assert any(one.changed_pixels > 0 for one in others)


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(small_model(), tmp_path / "weights")
    data = write_folder(tmp_path / "data", splits=("val",), images=2)
    words = ["knockout", "--data", str(data), "--weights", str(tmp_path / "weights"), "--limit", "1"]
    assert main([*words, "--json", str(tmp_path / "scores.json")]) == 0
    assert "| diverse branch |" in capsys.readouterr().out
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores[0]["off"] == WHOLE
    assert np.isfinite(scores[0]["miou"])


def test_the_table_tells_changes_with_their_sign() -> None:
    table = knock_out_table([KnockOutScore("a", 0.5, 0.0, 0.0), KnockOutScore("b", 0.25, -0.25, 0.125)])
    assert "| b | 25.0 | -25.0 | 12.5% |" in table
