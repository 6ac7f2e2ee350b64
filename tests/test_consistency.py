"""Distances to a bank's centroids, and whether they warn of failures: cases small enough to be worked out on paper."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import small_model, write_folder
from predictions import CLASS_NAMES, make_prediction

from ecenet.__main__ import main
from ecenet.bank import EmbeddingBank
from ecenet.bank_file import write_bank
from ecenet.errors import UserError
from ecenet.explore.confidence_warning import read_warning
from ecenet.explore.consistency import bank_centroids, centroid_distances, prediction_consistency
from ecenet.explore.failure_warning import WarningOptions, collect_pairs, figures_json, judge_warnings, warnings_table
from ecenet.explore.warning_statistics import (
    best_threshold,
    estimate,
    failure_auc,
    image_samples,
    precision_and_recall,
)
from ecenet.weights import load_model, save_model, weights_hash

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
LONG_EAST = [9.0, 0.0]
"""Twice as far as anything, yet the same direction."""
HALF = [0.5, 0.5]


def make_bank(rows: list[tuple[int, str, int, float, float, list[float]]], **about: Any) -> EmbeddingBank:
    """Rows are image, stage, class, area, IoU and embedding; the confidence is the IoU, a perfect warning."""
    image, stage, class_index, area, iou, embedding = zip(*rows, strict=True)
    return EmbeddingBank(
        image=np.array(image),
        stage=np.array(stage),
        class_index=np.array(class_index),
        area=np.array(area, dtype=np.float64),
        confidence=np.array(iou, dtype=np.float64),
        truth=np.zeros((len(rows), 3), dtype=np.int64),
        iou=np.array(iou, dtype=np.float64),
        embedding=np.array(embedding, dtype=np.float32),
        images=[f"{number}" for number in range(max(image) + 1)],
        about={
            "format": 1,
            "class_names": CLASS_NAMES,
            "class_colors": [[0, 0, 0]] * 3,
            "weights_hash": "abc",
            "data": "hand-made",
            "split": "val",
        }
        | about,
    )


def both_stages(rows: list[tuple[int, int, float, float, list[float]]], **about: Any) -> EmbeddingBank:
    """The same rows, without a stage, at `ece` and `stage1`."""
    return make_bank([(row[0], stage, *row[1:]) for stage in ("ece", "stage1") for row in rows], **about)


REFERENCE = [
    (0, 1, 0.5, 0.9, EAST),
    (0, 2, 0.4, 0.8, NORTH),
    (1, 1, 0.5, 0.7, LONG_EAST),
    (1, 2, 0.3, 0.2, EAST),
    (2, 1, 0.001, 0.9, WEST),
]


def test_centroids_are_those_of_masks_that_are_large_and_right_enough() -> None:
    bank = both_stages(REFERENCE)
    right = bank_centroids(bank, min_iou=0.5)["ece"]
    assert right[1].tolist() == EAST, "the speck in the west does not count, and length does not either"
    assert right[2].tolist() == NORTH, "its failure in the east does not count"
    assert np.isnan(right[0]).all(), "no background in the bank"
    everything = bank_centroids(bank)["ece"]
    assert everything[2] == pytest.approx(np.sqrt([0.5, 0.5]))
    assert bank_centroids(bank, min_area=0.0)["ece"][1].tolist() == EAST, "two against one, at length 1 again"


def test_a_mask_that_cannot_be_judged_is_none_that_is_right() -> None:
    bank = both_stages([(0, 1, 0.5, float("nan"), EAST)])
    assert np.isnan(bank_centroids(bank, min_iou=0.1)["ece"]).all()
    assert bank_centroids(bank)["ece"][1].tolist() == EAST


def test_distances_to_the_own_centroid_and_to_the_nearest_other() -> None:
    centroids = np.array([EAST, NORTH, WEST], dtype=np.float32)
    vectors = np.array([LONG_EAST, HALF, WEST], dtype=np.float32)
    found = centroid_distances(vectors, np.array([0, 1, 0]), centroids)
    slant = 1 - np.sqrt(0.5)
    np.testing.assert_allclose(found.own, [0, slant, 2], atol=1e-6)
    np.testing.assert_allclose(found.rival, [1, slant, 0], atol=1e-6)
    assert found.rival_index.tolist() == [1, 0, 2]
    np.testing.assert_allclose(found.margin, [1, 0, -2], atol=1e-6)


def test_what_has_no_centroid_has_no_distance() -> None:
    centroids = np.array([EAST, [np.nan, np.nan], NORTH], dtype=np.float32)
    found = centroid_distances(np.array([EAST, EAST, EAST]), np.array([1, 3, 0]), centroids)
    assert np.isnan(found.own).tolist() == [True, True, False], "1 was never seen, 3 is painted"
    assert found.rival_index.tolist() == [0, 0, 2]
    alone = centroid_distances(np.array([EAST]), np.array([2]), centroids[1:])
    assert (alone.rival_index.tolist(), np.isnan(alone.rival).all()) == ([1], False)
    nobody = centroid_distances(np.array([EAST]), np.array([0]), centroids[:2])
    assert nobody.rival_index.tolist() == [-1]
    assert np.isnan(nobody.margin).all()


def test_the_classes_of_a_photo_the_largest_first() -> None:
    # The embedding of class k at stage number s is (k, s, 1, 0), see `make_prediction`: at ece (k, 0, 1, 0).
    prediction = make_prediction(np.array([[2, 2, 2, 1]], dtype=np.uint8))
    centroids = {"ece": np.array([[0, 0, 0, 1], [1, 0, 0, 0], [2, 0, 1, 0]], dtype=np.float32)}
    centroids["ece"][2] /= np.sqrt(5)
    cat, dog = prediction_consistency(prediction, centroids, stage="ece")
    assert (cat.class_index, cat.rival, dog.class_index, dog.rival) == (2, 1, 1, 2)
    assert cat.distance == pytest.approx(0, abs=1e-6)
    assert cat.rival_distance == pytest.approx(1 - 2 / np.sqrt(5))
    assert dog.distance == pytest.approx(1 - 1 / np.sqrt(2))
    assert dog.rival_distance == pytest.approx(1 - 3 / np.sqrt(10))
    assert dog.margin == pytest.approx(1 / np.sqrt(2) - 3 / np.sqrt(10)), "it lies nearer to the cats"
    assert [one.class_index for one in prediction_consistency(prediction, centroids, stage="ece", min_area=0.3)] == [2]
    with pytest.raises(UserError, match="a stage among ece, got 'final'"):
        prediction_consistency(prediction, centroids, stage="final")
    with pytest.raises(UserError, match=r"centroids of 4 numbers, .*got 2"):
        prediction_consistency(prediction, {"ece": np.zeros((3, 2), np.float32)}, stage="ece")


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
    figures = judge_warnings(both_stages(REFERENCE), both_stages(VAL), WarningOptions(resamples=50))
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
    (ece, _) = judge_warnings(both_stages(good), both_stages(good), WarningOptions(resamples=5))
    scores = {one.score: one for one in ece.scores}
    assert "confidence + margin" not in scores, "there is nothing to learn it from"
    assert np.isnan([scores["margin"].auc.value, scores["margin"].threshold, scores["margin"].recall]).all()
    row = figures_json([ece])[0]["scores"][0]
    assert (row["auc"], row["threshold"]) == ({"value": None, "low": None, "high": None}, None)


def test_what_cannot_be_measured_is_refused() -> None:
    reference, bank = both_stages(REFERENCE), both_stages(VAL)
    for options, message in (
        (WarningOptions(judge="final"), "among ece, stage1, got 'final'"),
        (WarningOptions(without=("horse",)), "among background, dog, cat, got 'horse'"),
        (WarningOptions(resamples=0), "at least 1 resample"),
        (WarningOptions(failed_below=50), "IoUs and an area of 0 … 1"),
        (WarningOptions(without=tuple(CLASS_NAMES)), "got none; embed more images"),
    ):
        with pytest.raises(UserError, match=message):
            judge_warnings(reference, bank, options)
    with pytest.raises(UserError, match="banks of the same weights, got abc and def"):
        judge_warnings(reference, replace(bank, about=bank.about | {"weights_hash": "def"}))


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
    assert "each stage's own masks" in capsys.readouterr().err

    write_bank(both_stages(VAL), tmp_path / "other.parquet")
    assert main(["consistency", *banks[:3], str(tmp_path / "other.parquet")]) == 2
    assert "made with others (abc)" in capsys.readouterr().err


def test_the_table_says_on_which_side_it_warns() -> None:
    table = warnings_table(judge_warnings(both_stages(REFERENCE), both_stages(VAL), WarningOptions(resamples=5)))
    assert "| ece | 5 | 2 | distance |" in table
    assert "| above 0.500 |" in table


def test_a_score_that_tells_nothing_warns_always() -> None:
    dogs = [(image, 1, 0.5, iou, EAST) for image, iou in enumerate((0.1, 0.2, 0.9))]
    bank = both_stages([*dogs, (2, 2, 0.4, 0.9, NORTH)])
    figures = judge_warnings(bank, bank, WarningOptions(resamples=5))
    margin = figures[0].scores[0]
    assert (margin.score, margin.auc.value, margin.threshold) == ("margin", 0.5, np.inf), "all have a margin of 1"
    assert (margin.precision, margin.recall) == (0.5, 1)
    assert "| always | 0.50 | 1.00 |" in warnings_table(figures)
    assert figures_json(figures)[0]["scores"][0]["threshold"] is None


def test_a_class_alone_has_no_margin_to_look_at() -> None:
    bank = both_stages([(0, 1, 0.5, 0.9, EAST)])
    with pytest.raises(UserError, match="with a centroid and a rival on more than"):
        judge_warnings(bank, bank)
