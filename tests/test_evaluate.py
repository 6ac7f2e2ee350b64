"""Scores of a labelled folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import small_model, write_classes, write_folder, write_pair
from PIL import Image

from ecenet.data.folder import LabelledSplit, read_folder
from ecenet.errors import UserError
from ecenet.evaluate import evaluate
from ecenet.metrics import confusion_matrix, mean_iou
from ecenet.predictor import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model(), device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSplit:
    return read_folder(write_folder(tmp_path_factory.mktemp("data"), splits=("val",), images=4), "val")


def strict_json(value: object) -> dict[str, object]:
    """Through JSON and back; NaN is none."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_scores_are_those_of_all_pixels_together(predictor: Predictor, data: LabelledSplit) -> None:
    result = evaluate(predictor, data)
    pairs = [(data.load(index)[1], predictor.predict(data.images[index])) for index in range(4)]
    for name in predictor.model.stage_names:
        confusion = sum(confusion_matrix(mask, p.stages[name].label_map, num_classes=3) for mask, p in pairs)
        assert result.stages[name] == mean_iou(confusion)
    labelled = np.concatenate([mask[mask != 255] for mask, _ in pairs])
    predicted = np.concatenate([p.label_map[mask != 255] for mask, p in pairs])
    assert result.pixel_accuracy == (labelled == predicted).mean()
    assert result.miou == result.stages["final"] == pytest.approx(np.nanmean(list(result.per_class.values())))
    assert list(result.stages) == predictor.model.stage_names
    assert 0 < result.miou < 1


def test_the_models_own_predictions_score_one(predictor: Predictor, data: LabelledSplit, tmp_path: Path) -> None:
    shutil.copytree(data.root, tmp_path / "own")
    own = read_folder(tmp_path / "own", "val")
    for image, mask in zip(own.images, own.masks, strict=True):
        Image.fromarray(predictor.predict(image).label_map).save(mask)
    result = evaluate(predictor, own)
    assert result.miou == result.pixel_accuracy == 1
    assert set(strict_json(result.to_json())["per_class"].values()) <= {1, None}


def test_the_result_is_json_with_these_keys(predictor: Predictor, data: LabelledSplit) -> None:
    result = strict_json(evaluate(predictor, data).to_json())
    assert set(result) == {"miou", "per_class", "pixel_accuracy", "stages", "images", "seconds_per_image"}
    assert result["images"] == 4
    assert list(result["per_class"]) == predictor.model.class_names
    assert result["seconds_per_image"] > 0


def test_nothing_labelled_is_null_in_json(predictor: Predictor, tmp_path: Path) -> None:
    write_classes(tmp_path)
    write_pair(tmp_path, "val", "a", np.full((32, 32), 255, np.uint8))
    result = strict_json(evaluate(predictor, read_folder(tmp_path, "val")).to_json())
    assert result["miou"] is None
    assert result["pixel_accuracy"] is None
    assert set(result["per_class"].values()) == {None}
    assert set(result["stages"].values()) == {None}


def test_the_mean_can_be_restricted_to_the_first_classes(predictor: Predictor, data: LabelledSplit) -> None:
    every, first = evaluate(predictor, data), evaluate(predictor, data, classes=1)
    assert first.miou == every.per_class["sky"]
    assert first.per_class == every.per_class
    assert first.pixel_accuracy == every.pixel_accuracy


def test_a_limit_takes_images_evenly_from_first_to_last(predictor: Predictor, data: LabelledSplit) -> None:
    ends = LabelledSplit(data.root, data.split, data.labels, data.images[::3], data.masks[::3])
    assert evaluate(predictor, data, limit=2).per_class == pytest.approx(
        evaluate(predictor, ends).per_class, nan_ok=True
    )
    assert evaluate(predictor, data, limit=1).images == 1
    assert evaluate(predictor, data, limit=99).images == 4


@pytest.mark.parametrize(
    ("options", "named"),
    [({"classes": 0}, "0"), ({"classes": 4}, "1 and 3"), ({"limit": 0}, "0"), ({"limit": -1}, "-1")],
)
def test_options_out_of_range_are_refused(
    predictor: Predictor, data: LabelledSplit, options: dict[str, int], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        evaluate(predictor, data, **options)


def test_data_of_other_classes_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    write_folder(tmp_path, splits=("val",), images=1)
    write_classes(tmp_path, names=["sky", "cat", "grass"])
    with pytest.raises(UserError, match=r"sky, grass, cat.*sky, cat, grass"):
        evaluate(predictor, read_folder(tmp_path, "val"))


def test_a_mask_of_another_size_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    write_folder(tmp_path, splits=("val",), images=1)
    Image.new("L", (20, 20)).save(tmp_path / "masks" / "val" / "0.png")
    with pytest.raises(UserError, match="64×64, got 20×20"):
        evaluate(predictor, read_folder(tmp_path, "val"))
