"""The warning of masks that may be wrong: its file, and whom it warns of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecenet.analysis.diagnostics.mask_warnings import ConfidenceWarning, StageWarning, read_warning, warning_json
from ecenet.studies.bootstrap import Estimate
from ecenet.studies.failure_warning import ScoreFigures, StageFigures
from ecenet.studies.options import WarningOptions
from ecenet.studies.warning_thresholds import confidence_warning
from tests.support.predictions import make_prediction
from tests.support.refusals import refused

ABOUT = {"weights_hash": "abc", "data": "hand-made", "split": "val"}


def figures(stage: str, *, threshold: float = 0.6, recall: float = 0.75) -> StageFigures:
    auc = Estimate(0.9, 0.8, 1.0)
    scores = [
        ScoreFigures("margin", spearman=auc, auc=auc, gain=auc, threshold=0.1, precision=0.2, recall=0.3),
        ScoreFigures("confidence", spearman=auc, auc=auc, gain=auc, threshold=threshold, precision=0.5, recall=recall),
    ]
    return StageFigures(stage, stage, images=10, pairs=40, failures=4, left_out=1, scores=scores)


def warning(*stages: StageFigures, options: WarningOptions | None = None) -> ConfidenceWarning:
    return confidence_warning(stages, ABOUT, options or WarningOptions())


def test_the_figures_of_the_confidence_are_kept() -> None:
    found = warning(figures("ece"), figures("stage1", threshold=0.7))
    assert found.stages["ece"] == StageWarning(0.6, 0.5, 0.75, 0.9, images=10, pairs=40, failures=4)
    assert found.stages["stage1"].threshold == 0.7
    assert (found.failed_below, found.min_area, found.data) == (0.5, 0.005, "hand-made")


def test_a_stage_that_no_threshold_helps_has_no_warning() -> None:
    assert set(warning(figures("ece", threshold=np.inf), figures("stage1")).stages) == {"stage1"}
    with refused("not-enough-data"):
        warning(figures("ece", threshold=float("nan"), recall=float("nan")))


def test_other_masks_than_each_stages_own_make_no_warning() -> None:
    for options in (WarningOptions(judge="stage1"), WarningOptions(without=("cat",))):
        with refused("conflicting-options", "--judge", "--without"):
            warning(figures("stage1"), options=options)


def test_it_warns_of_a_low_confidence_where_the_study_looked() -> None:
    # 19 dogs, one cat: 5 % of the photo; every mask has a confidence of 0.8.
    labels = np.ones((4, 5), dtype=np.uint8)
    labels[0, 0] = 2
    stage = make_prediction(labels).stages["stage1"]
    high, low = (warning(figures("stage1", threshold=value)) for value in (0.81, 0.79))
    assert [high.warns(stage, k) for k in range(3)] == [False, True, True], "no background, no warning"
    assert not any(low.warns(stage, k) for k in range(3))
    assert not replace(high, min_area=0.05).warns(stage, 2), "not more than the least area"
    assert not high.warns(make_prediction(labels).stages["stage2"], 1), "never measured there"


def test_a_file_is_read_as_it_was_written_and_by_the_same_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "warning.json"
    path.write_text(warning_json(warning(figures("stage1"))), encoding="utf-8")
    assert read_warning(path, weights="abc") == warning(figures("stage1"))
    with refused("wrong-weights", "warning.json", "abc", "def", expected="def", got="abc"):
        read_warning(path, weights="def")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "warning.json"
    good = json.loads(warning_json(warning(figures("stage1"))))
    bad = [
        "{",
        "[]",
        json.dumps(good | {"format": 2}),
        json.dumps({key: value for key, value in good.items() if key != "stages"}),
        json.dumps(good | {"stages": {"stage1": {"threshold": 0.5}}}),
        json.dumps(good | {"stages": {"stage1": good["stages"]["stage1"] | {"threshold": None}}}),
        json.dumps(good | {"more": 1}),
    ]
    for text in bad:
        path.write_text(text, encoding="utf-8")
        with refused("wrong-file", "warning.json", "python -m ecenet consistency --warning"):
            read_warning(path, weights="abc")
