"""Do distances to a bank's centroids warn of failures? Cases small enough to be worked out on paper."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecenet.__main__ import main
from ecenet.analysis.diagnostics.centroid_distance import bank_centroids
from ecenet.analysis.diagnostics.mask_warnings import read_warning
from ecenet.evaluation.bank_parquet import write_bank
from ecenet.inference.weights import load_model, save_model, weights_hash
from ecenet.studies.bootstrap import (
    best_threshold,
    estimate,
    failure_auc,
    image_samples,
    precision_and_recall,
)
from ecenet.studies.failure_warning import WarningOptions, collect_pairs, figures_json, score_warnings, warnings_table
from tests.support.hand_banks import EAST, NORTH, REFERENCE, both_stages, make_bank
from tests.support.helpers import small_model, write_folder
from tests.support.predictions import CLASS_NAMES
from tests.support.refusals import assert_names, refused


def test_the_auc_is_the_chance_that_a_failure_comes_first() -> None:
    failed = np.array([True, True, False, False])
    assert failure_auc(np.array([1, 2, 3, 4]), failed) == 1
    assert failure_auc(np.array([4, 3, 2, 1]), failed) == 0
    assert failure_auc(np.array([1, 3, 2, 4]), failed) == 0.75, "one pair of four is the wrong way round"
    assert failure_auc(np.array([1, 2, 2, 2]), failed) == 0.75, "two ties, each counted half"
    assert np.isnan(failure_auc(np.array([1, 2]), np.array([True, True])))


def test_the_threshold_has_the_best_f1_and_lies_between_two_values() -> None:
    safety = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert best_threshold(safety, np.array([True, True, False, False, False])) == 2.5
    # Warning of three finds both failures (F1 0.8), of one only one of them (F1 2/3).
    assert best_threshold(safety, np.array([True, False, True, False, False])) == 3.5
    # Warning of all finds both (F1 4/7), of one only one of them (F1 2/3).
    assert best_threshold(safety, np.array([True, False, False, False, True])) == 1.5
    assert best_threshold(safety, np.ones(5, dtype=bool)) == np.inf
    assert np.isnan(best_threshold(safety, np.zeros(5, dtype=bool)))
    assert precision_and_recall(safety < 3.5, np.array([True, False, True, False, False])) == (2 / 3, 1)
    nothing = precision_and_recall(safety < 0, np.zeros(5, dtype=bool))
    assert np.isnan(nothing).all()


def test_a_bootstrap_draws_images_with_all_that_is_theirs() -> None:
    image = np.array([7, 7, 7, 9])
    samples = image_samples(image, count=50, seed=0)
    assert {len(rows) for rows in samples} == {2, 4, 6}
    assert all(np.isin(rows, [0, 1, 2]).sum() % 3 == 0 for rows in samples), "the three of one image stay together"
    again = image_samples(image, count=50, seed=0)
    assert all(np.array_equal(one, other) for one, other in zip(samples, again, strict=True))
    assert estimate(0.5, np.array([0.0, 1.0, np.nan])).low == pytest.approx(0.025)
    assert np.isnan(estimate(0.5, np.array([np.nan])).high)


VAL = [
    (0, 1, 0.5, 0.9, EAST),
    (0, 2, 0.5, 0.8, NORTH),
    (1, 1, 0.5, 0.7, [1.0, 0.1]),
    (1, 2, 0.2, 0.1, [1.0, 0.3]),
    (2, 1, 0.4, 0.2, [0.1, 1.0]),
    (2, 2, 0.004, 0.0, EAST),
    (3, 0, 0.9, 0.9, EAST),
    (3, 1, 0.3, float("nan"), EAST),
]


def test_pairs_are_classes_that_are_large_can_be_judged_and_have_every_score() -> None:
    bank = both_stages(VAL)
    centroids = bank_centroids(both_stages(REFERENCE), min_iou=0.5)
    pairs = collect_pairs(bank, centroids, stage="stage1", options=WarningOptions())
    assert list(zip(pairs.image.tolist(), pairs.class_index.tolist(), strict=True)) == [
        (0, 1), (0, 2), (1, 1), (1, 2), (2, 1)
    ]  # fmt: skip
    assert pairs.left_out == 1, "the background has no centroid"
    assert pairs.iou.tolist() == pairs.scores["confidence"].tolist() == [0.9, 0.8, 0.7, 0.1, 0.2]
    assert (pairs.scores["margin"] < 0).tolist() == [False, False, False, True, True]
    np.testing.assert_allclose(pairs.scores["change"], 0, atol=1e-6)
    assert "change" not in collect_pairs(bank, centroids, stage="ece", options=WarningOptions()).scores
    dogs = collect_pairs(bank, centroids, stage="ece", options=WarningOptions(without=("cat", "background")))
    assert set(dogs.class_index.tolist()) == {1}
    assert dogs.left_out == 0


def test_another_stages_masks_can_be_judged() -> None:
    bank = make_bank(
        [
            (0, "ece", 1, 0.5, 0.1, NORTH),
            (1, "ece", 1, 0.5, 0.1, EAST),
            (0, "stage1", 1, 0.3, 0.9, EAST),
            (2, "stage1", 1, 0.3, 0.9, EAST),
        ]
    )
    centroids = bank_centroids(both_stages(REFERENCE), min_iou=0.5)
    pairs = collect_pairs(bank, centroids, stage="ece", options=WarningOptions(judge="stage1"))
    assert (pairs.iou.tolist(), pairs.scores["area"].tolist(), pairs.left_out) == ([0.9], [0.3], 1)
    assert pairs.scores["confidence"].tolist() == [0.9], "of the mask that is judged"
    assert pairs.scores["distance"].tolist() == [1], "of the embedding at ece"


def test_a_margin_that_tells_all_failures_is_a_perfect_warning() -> None:
    figures = score_warnings(both_stages(REFERENCE), both_stages(VAL), WarningOptions(resamples=50))
    assert [one.stage for one in figures] == ["ece", "stage1"]
    first = figures[0]
    assert (first.judged, first.images, first.pairs, first.failures, first.left_out) == ("ece", 3, 5, 2, 1)
    scores = {one.score: one for one in first.scores}
    assert list(scores) == ["margin", "distance", "confidence", "area", "confidence + margin", "confidence + distance"]
    assert scores["margin"].auc.value == scores["distance"].auc.value == 1
    assert scores["confidence"].spearman.value == pytest.approx(1)
    assert scores["distance"].spearman.value < 0, "as it is, not turned"
    # Ranks of the IoU 5 4 3 1 2, of the area 4 4 4 1 2: covariance 8, variances 10 and 8.
    assert scores["area"].spearman.value == pytest.approx(8 / np.sqrt(80))
    # On the reference the failure has a margin of -1, the next one 1; halfway is 0.
    assert scores["margin"].threshold == pytest.approx(0, abs=1e-6)
    assert scores["distance"].threshold == pytest.approx(0.5)
    assert (scores["margin"].precision, scores["margin"].recall) == (1, 1)
    assert scores["confidence"].gain == (0, 0, 0)
    assert scores["confidence + margin"].gain.value == 0


def test_without_failures_nothing_is_told() -> None:
    good = [row for row in REFERENCE if row[3] >= 0.5]
    (ece, _) = score_warnings(both_stages(good), both_stages(good), WarningOptions(resamples=5))
    scores = {one.score: one for one in ece.scores}
    assert "confidence + margin" not in scores, "there is nothing to learn it from"
    assert np.isnan([scores["margin"].auc.value, scores["margin"].threshold, scores["margin"].recall]).all()
    row = figures_json([ece])[0]["scores"][0]
    assert (row["auc"], row["threshold"]) == ({"value": None, "low": None, "high": None}, None)


def test_what_cannot_be_measured_is_refused() -> None:
    reference, bank = both_stages(REFERENCE), both_stages(VAL)
    refusals: tuple[tuple[WarningOptions, tuple[Any, ...]], ...] = (
        (WarningOptions(judge="final"), ("unknown-choice", "ece, stage1", "'final'")),
        (WarningOptions(without=("horse",)), ("unknown-choice", "background, dog, cat", "'horse'")),
        (WarningOptions(resamples=0), ("out-of-range", "1 resample", 0)),
        (WarningOptions(failed_below=50), ("out-of-range", "0 … 1", 50)),
        (WarningOptions(without=tuple(CLASS_NAMES)), ("not-enough-data",)),
    )
    for options, refusal in refusals:
        with refused(*refusal):
            score_warnings(reference, bank, options)
    mapped = replace(bank, about=bank.about | {"class_names": ["background", "cat"]})
    with refused("wrong-classes", "--map"):
        score_warnings(reference, mapped)
    with refused("wrong-weights", "abc and def", expected="abc", got="def"):
        score_warnings(reference, replace(bank, about=bank.about | {"weights_hash": "def"}))


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(small_model(), tmp_path / "weights")
    data = write_folder(tmp_path / "data", images=4)
    for split in ("train", "val"):
        out = ["--out", str(tmp_path / f"{split}.parquet"), "--split", split]
        assert main(["embed", "--weights", str(tmp_path / "weights"), "--data", str(data), *out]) == 0
    banks = ["--bank", str(tmp_path / "train.parquet"), "--val", str(tmp_path / "val.parquet")]
    options = ["--resamples", "20", "--centroid-iou", "0", "--failed-below", "0.3", "--json", str(tmp_path / "f.json")]
    options += ["--warning", str(tmp_path / "warning.json")]
    assert main(["consistency", *banks, *options]) == 0
    printed = capsys.readouterr().out
    figures = json.loads((tmp_path / "f.json").read_text())
    assert [one["stage"] for one in figures] == ["ece", "stage4", "stage3", "stage2", "stage1"]
    assert figures[0]["pairs"] >= figures[0]["failures"]
    assert printed.count("| margin |") == 5
    assert "| stage1 |" in printed
    known = weights_hash(load_model(tmp_path / "weights"))
    warning = read_warning(tmp_path / "warning.json", weights=known)
    for name, one in warning.stages.items():
        (confidence,) = (row for row in figures if row["stage"] == name)
        (score,) = (row for row in confidence["scores"] if row["score"] == "confidence")
        assert (one.threshold, one.recall) == (score["threshold"], score["recall"])
    assert main(["consistency", *banks, *options, "--judge", "ece"]) == 2
    assert_names(capsys.readouterr().err, "--judge", "--without")

    write_bank(both_stages(VAL), tmp_path / "other.parquet")
    assert main(["consistency", *banks[:3], str(tmp_path / "other.parquet")]) == 2
    assert_names(capsys.readouterr().err, "other.parquet", "abc", known)


def test_the_table_says_on_which_side_it_warns() -> None:
    table = warnings_table(score_warnings(both_stages(REFERENCE), both_stages(VAL), WarningOptions(resamples=5)))
    assert "| ece | 5 | 2 | distance |" in table
    assert "| above 0.500 |" in table


def test_a_score_that_tells_nothing_warns_always() -> None:
    dogs = [(image, 1, 0.5, iou, EAST) for image, iou in enumerate((0.1, 0.2, 0.9))]
    bank = both_stages([*dogs, (2, 2, 0.4, 0.9, NORTH)])
    figures = score_warnings(bank, bank, WarningOptions(resamples=5))
    margin = figures[0].scores[0]
    assert (margin.score, margin.auc.value, margin.threshold) == ("margin", 0.5, np.inf), "all have a margin of 1"
    assert (margin.precision, margin.recall) == (0.5, 1)
    assert "| always | 0.50 | 1.00 |" in warnings_table(figures)
    assert figures_json(figures)[0]["scores"][0]["threshold"] is None


def test_a_class_alone_has_no_margin_to_look_at() -> None:
    bank = both_stages([(0, 1, 0.5, 0.9, EAST)])
    with refused("not-enough-data", "ece", "0.005"):
        score_warnings(bank, bank)
