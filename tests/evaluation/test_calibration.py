"""Confidences: expected calibration error, temperature, and what a calibrated checkpoint tells."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ecenet.analysis.diagnostics.pixel_probe import probe_pixel
from ecenet.app.widgets.pixel_planes import stage_planes
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.calibration import (
    answer_confidence,
    calibration_counts,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    sampled_logits,
    unsure_threshold,
)
from ecenet.evaluation.class_map import make_class_map
from ecenet.evaluation.evaluate import evaluate
from ecenet.evaluation.temperature import calibrate, calibration_summary
from ecenet.evaluation.tta import averaged_probabilities
from ecenet.inference.predictor import Predictor
from ecenet.inference.unsure import counts_as_unsure
from ecenet.inference.weights import load_model, save_model, weights_hash, write_calibration
from ecenet.model.network import Network
from tests.support.helpers import (
    CLASS_NAMES,
    noise_image,
    small_model,
    small_release,
    small_segvit,
    write_classes,
    write_folder,
    write_pair,
)
from tests.support.refusals import refused


def test_the_error_by_hand() -> None:
    # Two bins: at 0.9 two of four are right, at 0.5 both.
    right = np.array([1, 1, 0, 0, 1, 1], dtype=bool)
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5])
    counts = calibration_counts(right, confidence)
    assert counts.shape == (3, 15)
    assert expected_calibration_error(counts) == pytest.approx((4 * 0.4 + 2 * 0.5) / 6)
    assert np.isnan(expected_calibration_error(np.zeros((3, 15))))


def test_counts_add_up_over_images_in_any_order() -> None:
    rng = np.random.default_rng(0)
    right, confidence = rng.random(3000) < 0.5, rng.random(3000).astype(np.float16)
    parts = [calibration_counts(right[start::3], confidence[start::3]) for start in (2, 0, 1)]
    assert np.array_equal(sum(parts), calibration_counts(right, confidence))


def test_a_bin_holds_its_upper_edge() -> None:
    counts = calibration_counts(np.ones(4, bool), np.array([0.0, 1 / 15, 1 / 15 + 1e-6, 1.0]))
    assert np.flatnonzero(counts[0]).tolist() == [0, 1, 14]
    assert counts[0, 0] == 2


def test_confidences_that_come_true_have_no_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 200_000)
    honest = calibration_counts(rng.random(200_000) < confidence, confidence)
    assert expected_calibration_error(honest) < 0.01
    boastful = calibration_counts(rng.random(200_000) < confidence - 0.2, confidence)
    assert expected_calibration_error(boastful) == pytest.approx(0.2, abs=0.01)


def test_the_likelihood_is_torchs() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (500, 7)).astype(np.float32), rng.integers(0, 7, 500)
    theirs = F.cross_entropy(torch.from_numpy(logits) / 1.7, torch.from_numpy(targets))
    assert negative_log_likelihood(logits, targets, temperature=1.7) == pytest.approx(theirs.item(), rel=1e-5)


def test_classes_that_count_as_one_add_their_probabilities() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=np.float32))
    counts_as = np.array([0, 1, 1])
    found = negative_log_likelihood(logits, np.array([1, 0]), temperature=1.0, counts_as=counts_as)
    assert found == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2, rel=1e-5)


def test_the_best_temperature_of_two_classes_by_hand() -> None:
    # Logits 4 and 0, right in three of four: sigmoid(4 / T) = 3/4 at T = 4 / log 3.
    logits = np.tile(np.array([[4, 0]], dtype=np.float32), (400, 1))
    targets = np.repeat([0, 0, 0, 1], 100)
    assert fit_temperature(logits, targets) == pytest.approx(4 / np.log(3), rel=1e-3)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_temperature_follows_the_scale_of_the_logits(factor: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5)).astype(np.float32)
    powers = np.exp(logits)
    targets = (powers.cumsum(axis=1) < rng.random((20_000, 1)) * powers.sum(axis=1, keepdims=True)).sum(axis=1)
    assert fit_temperature(logits, targets) == pytest.approx(1, abs=0.05), "they were drawn from the softmax"
    assert fit_temperature(factor * logits, targets) == pytest.approx(
        factor * fit_temperature(logits, targets), rel=1e-2
    )


def test_sampled_logits_are_the_predictors() -> None:
    predictor = Predictor(small_model(), device="cpu", half=False)
    prediction = predictor.predict(noise_image(97, 61))
    logits, (rows, columns) = sampled_logits(prediction.final.mask_logits, (61, 97), most=200)
    assert 100 < len(logits) < 400
    assert logits.shape == (len(rows), 3)
    whole = F.interpolate(torch.from_numpy(prediction.final.mask_logits)[None], size=(61, 97), mode="bilinear")[0]
    np.testing.assert_allclose(logits.T, whole.numpy()[:, rows, columns], atol=1e-4)


def calibrated(temperature: float) -> Predictor:
    model = small_model()
    model.temperature = temperature
    return Predictor(model, device="cpu", half=False)


def test_a_temperature_changes_every_probability_and_no_class() -> None:
    image = noise_image(97, 61)
    plain, warm = calibrated(1.0).predict(image), calibrated(2.5).predict(image)
    for name, stage in plain.stages.items():
        after = warm.stages[name]
        assert np.array_equal(after.label_map, stage.label_map)
        assert np.array_equal(after.mask_logits, stage.mask_logits), "as the network made them"
        whole = F.interpolate(torch.from_numpy(stage.mask_logits)[None] / 2.5, size=(61, 97), mode="bilinear")[0]
        np.testing.assert_allclose(after.confidence, whole.softmax(dim=0).amax(dim=0).numpy(), atol=1e-3)
        assert (after.confidence <= stage.confidence).all()
        np.testing.assert_allclose(stage_planes(after)[3] / 100, after.confidence, atol=6e-3)
    probed = probe_pixel(warm, 40, 30)
    assert probed.probabilities.max(axis=1) == pytest.approx(
        [stage.confidence[30, 40] for stage in warm.stages.values()], abs=1e-3
    )
    averaged = averaged_probabilities(calibrated(2.5), image)["final"].amax(dim=0).numpy()
    np.testing.assert_allclose(averaged, warm.final.confidence, atol=1e-3)


def test_a_mapped_answer_has_the_probability_of_all_that_counts_as_it() -> None:
    final = calibrated(1.5).predict(noise_image(97, 61)).final
    whole = F.interpolate(torch.from_numpy(final.mask_logits)[None] / 1.5, size=(61, 97), mode="bilinear")[0]
    probabilities = whole.softmax(dim=0).numpy()
    class_map = make_class_map(
        {"classes": {"sky": "up"}, "rest": "down"}, weights_names=CLASS_NAMES, data_names=["up", "down"]
    )
    up = final.label_map == 0
    expected = np.where(up, probabilities[0], probabilities[1] + probabilities[2])
    np.testing.assert_allclose(answer_confidence(final, class_map), expected, atol=2e-3)
    assert answer_confidence(final, None) is final.confidence


def test_a_temperature_travels_in_the_config_and_old_files_have_none(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path)
    path = tmp_path / "config.json"
    before = json.loads(path.read_text())
    assert "temperature" not in before
    assert load_model(tmp_path).temperature == 1
    assert write_calibration(tmp_path, 1.25) == path
    assert json.loads(path.read_text()) == before | {"temperature": 1.25}, "nothing else"
    loaded = load_model(tmp_path)
    assert loaded.temperature == 1.25
    assert weights_hash(loaded) != weights_hash(model), "what was made with other confidences is not its own"
    save_model(loaded, tmp_path / "again")
    assert load_model(tmp_path / "again").temperature == 1.25
    write_calibration(tmp_path, 1.0)
    assert weights_hash(load_model(tmp_path)) == weights_hash(model)
    for wrong in (0, -1, "warm", True, None):
        path.write_text(json.dumps(before | {"temperature": wrong}))
        with refused("invalid-config", "temperature"):
            load_model(tmp_path)


def test_only_weights_in_a_folder_can_be_written(tmp_path: Path) -> None:
    with refused("weights-not-found"):
        write_calibration("somebody/model", 2.0)
    with refused("weights-not-found"):
        write_calibration(tmp_path, 2.0)


def answers(**right_of: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels with confidences in percent, `p40=(4, 10)`: four of ten are right."""
    right = [np.arange(count) < good for good, count in right_of.values()]
    confidence = [np.full(count, int(name[1:]) / 100) for name, (_, count) in right_of.items()]
    return np.concatenate(right), np.concatenate(confidence)


def test_answers_are_unsure_where_they_are_more_likely_wrong_than_right() -> None:
    assert unsure_threshold(*answers(p20=(1, 10), p40=(4, 10), p60=(6, 10), p90=(9, 10))) == pytest.approx(0.41)
    assert unsure_threshold(*answers(p60=(5, 10), p90=(9, 10))) is None, "half of them are right: not unsure"
    assert unsure_threshold(*answers(p50=(0, 3), p100=(1, 10))) == 1, "all that is not told as certain"


def test_a_stray_confidence_that_fares_well_is_joined_with_its_neighbours() -> None:
    # 30 % is right more often than 40 % on these: together 3 of 10, which is unsure; with 50 % they would not be.
    assert unsure_threshold(*answers(p30=(2, 2), p40=(1, 8), p50=(6, 10))) == pytest.approx(0.41)
    assert unsure_threshold(*answers(p30=(8, 8), p40=(1, 2), p50=(6, 10))) is None


@pytest.mark.parametrize("seed", range(5))
def test_at_least_half_of_what_is_called_unsure_is_wrong(seed: int) -> None:
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.1, 1, 4000)
    right = random.uniform(size=4000) < confidence ** random.uniform(0.5, 2)
    below = unsure_threshold(right, confidence)
    assert below is not None
    unsure = counts_as_unsure(confidence, below=below)
    assert unsure.any()
    assert right[unsure].mean() < 0.5


def test_the_threshold_travels_in_the_config_and_is_no_number_of_the_weights(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path)
    path = tmp_path / "config.json"
    before = json.loads(path.read_text())
    assert "unsure_below" not in before
    assert load_model(tmp_path).unsure_below is None
    write_calibration(tmp_path, 1.0, unsure_below=0.41)
    assert json.loads(path.read_text()) == before | {"temperature": 1.0, "unsure_below": 0.41}
    loaded = load_model(tmp_path)
    assert loaded.unsure_below == 0.41
    assert weights_hash(loaded) == weights_hash(model)
    save_model(loaded, tmp_path / "again")
    assert load_model(tmp_path / "again").unsure_below == 0.41
    write_calibration(tmp_path, 1.0)
    assert load_model(tmp_path).unsure_below is None, "that of another temperature"
    for wrong in (-0.1, 1.1, "low", True):
        path.write_text(json.dumps(before | {"unsure_below": wrong}))
        with refused("invalid-config", "unsure_below"):
            load_model(tmp_path)


@pytest.mark.parametrize("make", [small_release, small_segvit])
def test_every_architecture_takes_the_threshold(make: Callable[[], Network], tmp_path: Path) -> None:
    model = make()
    model.unsure_below = 0.3
    save_model(model, tmp_path)
    assert load_model(tmp_path).unsure_below == 0.3


def test_calibrating_lowers_the_likelihood_and_ignores_what_is_not_labelled(tmp_path: Path) -> None:
    data = read_folder(write_folder(tmp_path / "data", splits=("val",), images=4), "val")
    found = calibrate(calibrated(1.0), data)
    assert found.nll < found.nll_before
    assert found.images == 4
    assert 0 < found.pixels <= 4 * 62 * 62
    assert f"{found.temperature:g}" in calibration_summary(found)
    if found.unsure_below is not None:
        assert found.unsure_right is None or found.unsure_right < 0.5
        assert f"unsure below {found.unsure_below:.0%}" in calibration_summary(found)
    assert calibrate(calibrated(3.0), data) == found, "a temperature that is there already does not count"

    write_classes(tmp_path / "blank")
    write_pair(tmp_path / "blank", "val", "a", np.full((32, 32), 255, np.uint8))
    with refused("not-enough-data", "val"):
        calibrate(calibrated(1.0), read_folder(tmp_path / "blank", "val"))


def test_evaluate_tells_the_error_of_the_final_mask(tmp_path: Path) -> None:
    data = read_folder(write_folder(tmp_path, splits=("val",), images=3), "val")
    predictor = calibrated(1.0)
    counts = np.zeros((3, 15))
    for index, image in enumerate(data.images):
        target, final = data.load_mask(index), predictor.predict(image).final
        labelled = target != 255
        counts += calibration_counts((final.label_map == target)[labelled], final.confidence[labelled])
    assert evaluate(predictor, data).calibration_error == expected_calibration_error(counts)
