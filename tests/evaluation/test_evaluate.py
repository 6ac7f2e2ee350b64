"""Scores of a labelled folder."""

import dataclasses
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecenet.__main__ import main
from ecenet.common.files import json_finite
from ecenet.data.images import ImageSource
from ecenet.data.layouts.folder import read_folder
from ecenet.data.split import LabelledSplit
from ecenet.evaluation import embedding_quality
from ecenet.evaluation.bank import bank_quality, embed_split
from ecenet.evaluation.evaluate import count_pixels, evaluate, merge, score
from ecenet.evaluation.metrics import (
    boundary_counts,
    boundary_mean_iou,
    confusion_matrix,
    inner_band,
    mean_accuracy,
    mean_iou,
)
from ecenet.evaluation.tta import Averaging, averaged_label_maps
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.helpers import small_model, write_classes, write_folder, write_pair
from tests.support.refusals import assert_names, refused

KEYS = {
    *("miou", "per_class", "pixel_accuracy", "stages", "images", "seconds_per_image"),
    *("mean_accuracy", "stage_mean_accuracy", "stage_pixel_accuracy", "boundary_miou", "confusion"),
    *("miou_interval", "per_class_interval", "calibration_error", "embedding_quality", "embedding_layout"),
    "ignored_share",
}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model(), device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSplit:
    return read_folder(write_folder(tmp_path_factory.mktemp("data"), splits=("val",), images=4), "val")


def strict_json(value: object) -> dict[str, Any]:
    """Through JSON and back; NaN is none."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_scores_are_those_of_all_pixels_together(predictor: Predictor, data: LabelledSplit) -> None:
    result = evaluate(predictor, data)
    pairs = [(data.load(index)[1], predictor.predict(data.images[index])) for index in range(4)]
    for name in predictor.model.stage_names:
        counts = [confusion_matrix(mask, p.stages[name].label_map, num_classes=3) for mask, p in pairs]
        confusion = np.sum(counts, axis=0)
        assert result.stages[name] == mean_iou(confusion)
        assert result.stage_mean_accuracy[name] == mean_accuracy(confusion)
        assert result.stage_pixel_accuracy[name] == np.trace(confusion) / confusion.sum()
    assert result.confusion == confusion.tolist(), "of the last stage"
    labelled = np.concatenate([mask[mask != 255] for mask, _ in pairs])
    predicted = np.concatenate([p.label_map[mask != 255] for mask, p in pairs])
    assert result.pixel_accuracy == (labelled == predicted).mean() == result.stage_pixel_accuracy["final"]
    assert result.mean_accuracy == result.stage_mean_accuracy["final"]
    assert result.miou == result.stages["final"] == pytest.approx(np.nanmean(list(result.per_class.values())))
    assert list(result.stages) == predictor.model.stage_names
    assert 0 < result.miou < 1


def test_the_models_own_predictions_score_one(predictor: Predictor, data: LabelledSplit, tmp_path: Path) -> None:
    shutil.copytree(data.root, tmp_path / "own")
    own = read_folder(tmp_path / "own", "val")
    for image, mask in zip(own.images, own.masks, strict=True):
        Image.fromarray(predictor.predict(image).label_map).save(mask)
    result = evaluate(predictor, own, boundary=True)
    assert result.miou == result.pixel_accuracy == result.mean_accuracy == result.boundary_miou["final"] == 1
    assert result.boundary_miou["ece"] < 1
    assert set(strict_json(result.to_json())["per_class"].values()) <= {1, None}


def test_the_result_is_json_with_these_keys(predictor: Predictor, data: LabelledSplit) -> None:
    result = strict_json(evaluate(predictor, data).to_json())
    assert set(result) == KEYS
    assert result["images"] == 4
    assert list(result["per_class"]) == predictor.model.class_names
    assert result["seconds_per_image"] > 0


def test_nothing_labelled_is_null_in_json(predictor: Predictor, tmp_path: Path) -> None:
    write_classes(tmp_path)
    write_pair(tmp_path, "val", "a", np.full((32, 32), 255, np.uint8))
    result = strict_json(evaluate(predictor, read_folder(tmp_path, "val"), boundary=True).to_json())
    for key in ("miou", "pixel_accuracy", "mean_accuracy", "calibration_error"):
        assert result[key] is None
    assert result["miou_interval"] == [None, None]
    for key in ("per_class", "stages", "stage_mean_accuracy", "stage_pixel_accuracy", "boundary_miou"):
        assert set(result[key].values()) == {None}
    assert result["confusion"] == [[0] * 3] * 3


def test_what_the_labels_lack_is_said(predictor: Predictor, data: LabelledSplit, tmp_path: Path) -> None:
    result = evaluate(predictor, data)
    assert result.ignored_share == pytest.approx(1 - 62 * 62 / 64**2)
    assert result.doubts("val") == []
    write_classes(tmp_path)
    mask = np.zeros((32, 32), np.uint8)
    mask[:24] = 255
    write_pair(tmp_path, "val", "a", mask)
    lacking, ignored = evaluate(predictor, read_folder(tmp_path, "val")).doubts("val")
    assert_names(lacking, 2, "grass, cat", "val")
    assert_names(ignored, "75%", 255)


def test_the_mean_can_be_restricted_to_the_first_classes(predictor: Predictor, data: LabelledSplit) -> None:
    every, first = evaluate(predictor, data), evaluate(predictor, data, classes=1)
    assert first.miou == every.per_class["sky"]
    assert first.per_class == every.per_class
    assert first.pixel_accuracy == every.pixel_accuracy


def test_a_limit_takes_images_evenly_from_first_to_last(predictor: Predictor, data: LabelledSplit) -> None:
    ends = dataclasses.replace(data, images=data.images[::3], masks=data.masks[::3])
    assert evaluate(predictor, data, limit=2).per_class == pytest.approx(
        evaluate(predictor, ends).per_class, nan_ok=True
    )
    assert evaluate(predictor, data, limit=1).images == 1
    assert evaluate(predictor, data, limit=99).images == 4


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"classes": 0}, ("--classes", 0)),
        ({"classes": 4}, ("--classes", "1 and 3", 4)),
        ({"limit": 0}, ("--limit", 1, 0)),
        ({"limit": -1}, ("--limit", 1, -1)),
        ({"averaging": Averaging(scales=(0.0,))}, ("scales", "0.0")),
        ({"averaging": Averaging(window=40)}, (40, "32 or 48")),
    ],
)
def test_options_out_of_range_are_refused(
    predictor: Predictor, data: LabelledSplit, options: dict[str, Any], named: tuple[object, ...]
) -> None:
    with refused("out-of-range", *named):
        evaluate(predictor, data, **options)


def test_data_of_other_classes_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    write_folder(tmp_path, splits=("val",), images=1)
    write_classes(tmp_path, names=["sky", "cat", "grass"])
    with refused("wrong-classes", "sky, grass, cat", "sky, cat, grass", "classes.json"):
        evaluate(predictor, read_folder(tmp_path, "val"))


def test_a_mask_of_another_size_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    write_folder(tmp_path, splits=("val",), images=1)
    Image.new("L", (20, 20)).save(tmp_path / "masks" / "val" / "0.png")
    with refused("size-mismatch", "0.png", "64×64", "20×20", expected=(64, 64), got=(20, 20)):
        evaluate(predictor, read_folder(tmp_path, "val"))


def test_boundary_iou_is_measured_on_request_at_every_stage(predictor: Predictor, data: LabelledSplit) -> None:
    assert set(strict_json(evaluate(predictor, data, limit=1).to_json())["boundary_miou"].values()) == {None}
    counts = np.zeros((2, 3), int)
    for index, image in enumerate(data.images):
        target, predicted = data.load_mask(index), predictor.predict(image).label_map
        counts += boundary_counts(target, predicted, target_band=inner_band(target), num_classes=3)
    every, first = (evaluate(predictor, data, boundary=True, classes=classes).boundary_miou for classes in (None, 1))
    assert list(every) == predictor.model.stage_names
    assert every["final"] == boundary_mean_iou(counts)
    assert first["final"] == counts[0, 0] / counts[1, 0]


def test_averaged_looks_are_scored(predictor: Predictor, data: LabelledSplit) -> None:
    averaging = Averaging(scales=(0.75, 1.0), flip=True, window=32)
    result = evaluate(predictor, data, averaging=averaging)
    confusion = np.zeros((3, 3), int)
    for index, image in enumerate(data.images):
        label_map = averaged_label_maps(predictor, image, averaging)["final"]
        confusion += confusion_matrix(data.load_mask(index), label_map, num_classes=3)
    assert result.confusion == confusion.tolist()
    assert result.confusion != evaluate(predictor, data).confusion


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_parts_sum_to_the_whole(predictor: Predictor, data: LabelledSplit, parts: int, limit: int | None) -> None:
    options: dict[str, Any] = {"boundary": True, "embeddings": True, "limit": limit}
    whole = count_pixels(predictor, data, **options)
    pieces = [count_pixels(predictor, data, **options, part=part, parts=parts) for part in range(parts)]
    together = strict_json(score(merge(pieces)).to_json())
    expected = strict_json(score(whole).to_json())
    assert together.pop("seconds_per_image") > 0
    assert expected.pop("seconds_per_image") > 0
    assert together == expected


def test_embedding_quality_is_the_banks_and_comes_in_the_same_pass(
    predictor: Predictor, data: LabelledSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random weights have hardly a mask that is half right.
    monkeypatch.setattr(embedding_quality, "MIN_IOU", 0.05)
    expected = bank_quality(embed_split(predictor, data))
    seen = []
    predict = predictor.predict

    def counted(source: ImageSource) -> Prediction:
        seen.append(source)
        return predict(source)

    monkeypatch.setattr(predictor, "predict", counted)
    result = evaluate(predictor, data, embeddings=True)
    assert len(seen) == len(data)
    assert result.to_json()["embedding_quality"] == json_finite({name: asdict(one) for name, one in expected.items()})
    assert list(result.embedding_quality) == predictor.model.stage_names[:-1], "the final mask has none of its own"
    assert set(strict_json(result.to_json())["embedding_quality"]["ece"]) == {
        *("purity", "silhouette", "linear", "rows", "classes")
    }
    assert max(one.rows for one in expected.values()) > 4
    assert list(result.embedding_layout) == list(result.embedding_quality)
    layout = result.embedding_layout["ece"]
    assert layout.rows >= expected["ece"].rows, "those of a class that only one photo has, too"
    assert layout.area < 1
    assert layout.position < 1
    assert evaluate(predictor, data).embedding_quality == evaluate(predictor, data).embedding_layout == {}, "on request"
    assert evaluate(predictor, data, embeddings=True, averaging=Averaging(flip=True)).embedding_quality == {}


def test_averaged_looks_have_no_calibration(predictor: Predictor, data: LabelledSplit) -> None:
    assert np.isnan(evaluate(predictor, data, averaging=Averaging(flip=True)).calibration_error)
    assert 0 < evaluate(predictor, data).calibration_error < 1


def test_the_interval_holds_the_score(predictor: Predictor, data: LabelledSplit) -> None:
    result = evaluate(predictor, data)
    low, high = result.miou_interval
    assert low < result.miou < high
    assert list(result.per_class_interval) == predictor.model.class_names
    for name, (low, high) in result.per_class_interval.items():
        assert low <= result.per_class[name] <= high or np.isnan(result.per_class[name])


def test_a_part_without_images_has_no_score(predictor: Predictor, data: LabelledSplit) -> None:
    result = strict_json(score(count_pixels(predictor, data, part=4, parts=5)).to_json())
    assert (result["images"], result["miou"], result["seconds_per_image"]) == (0, None, None)


@pytest.mark.parametrize(("part", "parts"), [(-1, 2), (2, 2), (0, 0)])
def test_a_part_that_there_is_not_is_refused(predictor: Predictor, data: LabelledSplit, part: int, parts: int) -> None:
    with refused("out-of-range", f"{part} of {parts}"):
        count_pixels(predictor, data, part=part, parts=parts)


def test_the_command_takes_every_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(small_model(), tmp_path / "weights")
    write_folder(tmp_path, splits=("val",), images=1)
    command = ["evaluate", "--weights", str(tmp_path / "weights"), "--data", str(tmp_path)]
    options = ["--scales", "0.75", "1.0", "--flip", "--window", "32", "--boundary"]
    assert main([*command, *options]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == KEYS
    assert None not in scores["boundary_miou"].values()
    assert main([*command, "--scales", "0"]) == 2
    assert main([*command, "--window", "30"]) == 2
    assert main([*command, "--classes", "4"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    for error, named in zip(errors, (("scales", "0.0"), ("window", 30), ("--classes", 4)), strict=True):
        assert_names(error, *named)


def test_the_command_computes_in_the_precision_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(small_model(), tmp_path / "weights")
    write_folder(tmp_path, splits=("val",), images=3)
    found = {}
    for precision, half in (("fp32", False), ("bf16", True)):
        command = ["evaluate", "--weights", str(tmp_path / "weights"), "--data", str(tmp_path), "--limit", "3"]
        assert main([*command, "--precision", precision]) == 0
        found[precision] = json.loads(capsys.readouterr().out)["stages"]
        predictor = Predictor.from_weights(tmp_path / "weights", half=half)
        assert found[precision] == pytest.approx(evaluate(predictor, read_folder(tmp_path, "val")).stages)
    assert found["fp32"] != found["bf16"]
