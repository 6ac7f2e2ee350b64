"""Scores across label spaces: maps from the weights' classes to the data's, and proposals of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecenet.common.error_codes import ErrorCode
from ecenet.data.layouts.folder import read_folder
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.class_map import OUTSIDE, ClassMap, make_class_map, read_class_map
from ecenet.evaluation.embedding_rows import embedding_rows
from ecenet.evaluation.evaluate import evaluate
from ecenet.evaluation.metrics import boundary_counts, confusion_matrix, inner_band, intersection_over_union, mean_iou
from ecenet.evaluation.propose_map import propose_map
from ecenet.inference.predictor import Predictor
from tests.support.helpers import CLASS_NAMES, small_model, write_classes, write_folder, write_pair
from tests.support.predictions import make_prediction
from tests.support.refusals import refused

DATA = ["background", "animal", "lawn"]
TO_REST = {"classes": {"grass": "lawn", "cat": "animal"}, "rest": "background"}
TO_NOTHING = {"classes": {"grass": "lawn", "cat": "animal"}, "rest": None}


def a_map(content: object, data_names: list[str] = DATA) -> ClassMap:
    return make_class_map(content, weights_names=CLASS_NAMES, data_names=data_names)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model(), device="cpu", half=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSplit:
    """Its classes are called otherwise: 0 … 2 are background, animal, lawn."""
    root = write_folder(tmp_path_factory.mktemp("data"), splits=("val",), images=4)
    write_classes(root, names=DATA)
    return read_folder(root, "val")


def test_labels_by_hand() -> None:
    labels = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    assert a_map(TO_REST).apply(labels).tolist() == [[0, 2, 1, 255]]
    assert a_map(TO_NOTHING).apply(labels).tolist() == [[3, 2, 1, 255]], "3 is none of the data's three"
    assert a_map(TO_REST).apply(labels).dtype == np.uint8
    assert a_map(TO_REST).predicted_names == DATA
    assert a_map(TO_NOTHING).predicted_names == [*DATA, OUTSIDE]
    assert a_map({"classes": {}, "rest": "lawn"}).apply(labels).tolist() == [[2, 2, 2, 255]]


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        ({"classes": {"gras": "lawn"}}, "wrong-classes", ["gras", "grass"]),
        ({"classes": {"grass": "Lawn"}}, "wrong-classes", ["Lawn", "lawn"]),
        ({"classes": {}, "rest": "backgroud"}, "wrong-classes", ["backgroud", "background"]),
        ({"classes": {name: "lawn" for name in "abcdefgh"}}, "wrong-classes", ["a", "e", "3 more"]),
        ({"classes": ["grass"]}, "wrong-file", []),
        ({"classes": {"grass": 2}}, "wrong-file", []),
        ({"classes": {}, "Rest": "lawn"}, "wrong-file", []),
        ({"classes": {}, "rest": 0}, "wrong-file", []),
        ([], "wrong-file", []),
    ],
)
def test_maps_that_do_not_fit_are_refused(content: object, code: ErrorCode, named: list[str]) -> None:
    with refused(code, *named):
        a_map(content)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with refused("file-missing", "map"):
        read_class_map(tmp_path / "map.json", weights_names=CLASS_NAMES, data_names=DATA)
    (tmp_path / "map.json").write_text("{")
    with refused("file-damaged"):
        read_class_map(tmp_path / "map.json", weights_names=CLASS_NAMES, data_names=DATA)
    (tmp_path / "map.json").write_text(json.dumps(TO_REST))
    found = read_class_map(tmp_path / "map.json", weights_names=CLASS_NAMES, data_names=DATA)
    assert found.targets.tolist() == [0, 2, 1]


def test_a_map_of_equal_names_changes_nothing(predictor: Predictor, tmp_path: Path) -> None:
    own = read_folder(write_folder(tmp_path, splits=("val",), images=3), "val")
    same = a_map({"classes": {name: name for name in CLASS_NAMES}}, CLASS_NAMES)
    plain: dict[str, Any] = evaluate(predictor, own, boundary=True, embeddings=True).to_json()
    mapped: dict[str, Any] = evaluate(predictor, own, boundary=True, embeddings=True, class_map=same).to_json()
    assert [row[:3] for row in mapped["confusion"]] == plain["confusion"]
    assert all(row[3] == 0 for row in mapped["confusion"]), "nothing is outside"
    assert mapped["calibration_error"] == pytest.approx(plain["calibration_error"], abs=1e-3)
    keys = ("miou", "per_class", "stages", "per_class_interval", "boundary_miou", "embedding_quality", "mean_accuracy")
    for key in (*keys, "embedding_layout"):
        assert mapped[key] == plain[key], key


@pytest.mark.parametrize("content", [TO_REST, TO_NOTHING])
def test_scores_are_those_of_mapped_label_maps(
    predictor: Predictor, data: LabelledSplit, content: dict[str, object]
) -> None:
    class_map = a_map(content)
    columns = len(class_map.predicted_names)
    result = evaluate(predictor, data, class_map=class_map, boundary=True)
    confusion, boundary = np.zeros((3, columns), int), np.zeros((2, columns), int)
    for index, image in enumerate(data.images):
        target, answer = data.load_mask(index), class_map.apply(predictor.predict(image).label_map)
        confusion += confusion_matrix(target, answer, num_classes=3, num_predicted=columns)
        boundary += boundary_counts(target, answer, target_band=inner_band(target), num_classes=columns)
    assert result.confusion == confusion.tolist()
    assert list(result.per_class) == DATA
    assert list(result.per_class.values()) == intersection_over_union(confusion).tolist()
    assert result.pixel_accuracy == np.trace(confusion) / confusion.sum()
    assert result.miou == np.nanmean(intersection_over_union(confusion))
    assert result.boundary_miou["final"] == pytest.approx(np.mean(boundary[0, :3] / boundary[1, :3]))


def test_answers_outside_count_as_wrong() -> None:
    # Rows are the data's two classes; the last column is outside of both.
    confusion = np.array([[6, 0, 2], [1, 3, 0]])
    assert intersection_over_union(confusion).tolist() == [6 / 9, 3 / 4]
    assert mean_iou(confusion) == pytest.approx((6 / 9 + 3 / 4) / 2)


def test_only_labelled_classes_count_towards_the_mean(predictor: Predictor, tmp_path: Path) -> None:
    write_classes(tmp_path, names=DATA)
    write_pair(tmp_path, "val", "a", np.zeros((64, 64), np.uint8))
    split = read_folder(tmp_path, "val")
    result = evaluate(predictor, split, class_map=a_map(TO_REST))
    assert result.miou == result.per_class["background"]
    assert result.miou_interval == [result.miou] * 2
    answers = set(np.unique(predictor.predict(split.images[0]).label_map)) - {0}
    assert answers, "others are predicted, which the mean would have as zeros"


def test_data_of_other_classes_needs_a_map(predictor: Predictor, data: LabelledSplit) -> None:
    with refused("wrong-classes", "--map"):
        evaluate(predictor, data)
    with refused("out-of-range", 1, 3, 4):
        evaluate(predictor, data, classes=4, class_map=a_map(TO_NOTHING))


def test_rows_follow_the_mapped_class_by_hand() -> None:
    """The weights say background, dog, cat; the data knows thing and animal."""
    class_map = make_class_map(
        {"classes": {"dog": "animal", "cat": "animal"}, "rest": "thing"},
        weights_names=["background", "dog", "cat"],
        data_names=["thing", "animal"],
    )
    predicted = np.array([[0, 0, 1, 2], [0, 1, 1, 2]], dtype=np.uint8)
    target = np.array([[0, 1, 1, 1], [0, 0, 1, 255]], dtype=np.uint8)
    rows = [row for row in embedding_rows(make_prediction(predicted), target, image=3, class_map=class_map)]
    first = [row for row in rows if row.stage == "stage4"]
    assert [row.class_index for row in first] == [0, 1, 1], "dog and cat keep rows of their own"
    assert [row.truth.tolist() for row in first] == [[2, 1], [1, 2], [0, 1]]
    # Thing: 2 right of 3 predicted and 3 true. Animal: 3 right of 4 predicted and 4 true.
    assert [row.iou for row in first] == pytest.approx([2 / 4, 3 / 5, 3 / 5])
    assert [row.embedding[0] for row in first] == [0, 1, 2]
    nowhere = embedding_rows(make_prediction(np.zeros((2, 4), np.uint8)), target, image=3, class_map=class_map)
    missed = [row for row in nowhere if row.stage == "stage4"]
    assert [(row.class_index, row.area, row.iou) for row in missed] == [(0, 1, pytest.approx(3 / 7)), (1, 0, 0)]


def test_outside_of_the_map_there_is_no_iou() -> None:
    class_map = make_class_map(
        {"classes": {"dog": "animal"}}, weights_names=["background", "dog", "cat"], data_names=["animal"]
    )
    predicted = np.array([[0, 1]], dtype=np.uint8)
    rows = embedding_rows(make_prediction(predicted), np.zeros((1, 2), np.uint8), image=0, class_map=class_map)
    first = [row for row in rows if row.stage == "ece"]
    assert [(row.class_index, row.truth.tolist()) for row in first] == [(1, [1, 0]), (0, [1, 0])]
    assert np.isnan(first[0].iou)
    assert first[1].iou == 0.5


def test_names_are_matched_whatever_their_spelling() -> None:
    weights = ["TV monitor", "potted_plant", "table", "aeroplane", "cars", "sky", "road", "Sign", "shelf", "buses"]
    data = ["background", "tvmonitor", "pottedplant", "diningtable", "airplane", "car", "Sky", "street", "signboard"]
    proposal = propose_map(weights, [*data, "bus", "piano"])
    assert proposal.content == {
        "classes": {
            "TV monitor": "tvmonitor",
            "potted_plant": "pottedplant",
            "table": "diningtable",
            "aeroplane": "airplane",
            "cars": "car",
            "sky": "Sky",
            "road": "street",
            "Sign": "signboard",
            "buses": "bus",
        },
        "rest": "background",
    }
    assert proposal.unmatched_weights == ["shelf"]
    assert proposal.unmatched_data == ["piano"]


def test_an_equal_name_comes_before_a_synonym_and_a_known_background_is_no_rest() -> None:
    proposal = propose_map(["background", "sofa", "plant"], ["background", "couch", "sofa", "potted plant"])
    assert proposal.content == {"classes": {"background": "background", "sofa": "sofa"}, "rest": None}
    assert proposal.unmatched_weights == ["plant"], "not every plant has a pot"
    assert proposal.unmatched_data == ["couch", "potted plant"]


def test_a_proposal_is_a_map(tmp_path: Path) -> None:
    proposal = propose_map(CLASS_NAMES, DATA)
    assert proposal.content["rest"] == "background"
    assert a_map(proposal.content).targets.tolist() == [0, 2, 0], "lawn is grass; cat is nothing that it has"
