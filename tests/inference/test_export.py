"""Predictions as files: what is written can be read back and means the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.inference.export import export_prediction, unique_names
from tests.support.predictions import make_prediction

FINAL = np.array([[0, 1, 1, 1], [2, 2, 1, 1]], dtype=np.uint8)
COARSE = np.array([[0, 0, 1, 1], [2, 2, 1, 1]], dtype=np.uint8)


def test_masks_and_arrays_read_back(tmp_path: Path) -> None:
    prediction = make_prediction(FINAL, stages={"ece": COARSE})
    export_prediction(prediction, tmp_path)

    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "label_map.png")), FINAL)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "stages" / "ece.png")), COARSE)
    assert Image.open(tmp_path / "overlay.png").size == (4, 2)
    with np.load(tmp_path / "arrays.npz") as arrays:
        for name, stage in prediction.stages.items():
            np.testing.assert_array_equal(arrays[f"similarity_{name}"], stage.similarity)
            np.testing.assert_array_equal(arrays[f"embeddings_{name}"], stage.embeddings)
        assert "gate_stage1" in arrays
        assert "gate_ece" not in arrays


def test_summary_is_json_with_areas_and_agreement(tmp_path: Path) -> None:
    summary = json.loads(json.dumps(export_prediction(make_prediction(FINAL, stages={"ece": COARSE}), tmp_path)))
    assert summary["classes"][0] == {"class": "dog", "area": 0.625, "confidence": pytest.approx(0.8)}
    assert summary["agreement_with_final"]["ece"] == 0.875
    assert summary["agreement_with_final"]["final"] == 1.0


def test_summary_leaves_out_classes_that_are_not_there(tmp_path: Path) -> None:
    summary = json.loads(json.dumps(export_prediction(make_prediction(np.zeros((2, 2), dtype=np.uint8)), tmp_path)))
    assert [row["class"] for row in summary["classes"]] == ["background"]


def test_files_of_one_name_get_folders_of_their_own() -> None:
    paths = [Path("a/cat.jpg"), Path("b/cat.png"), Path("dog.jpg")]
    assert unique_names(paths) == ["cat-1", "cat-2", "dog"]


def test_numbered_names_never_meet_a_real_one() -> None:
    names = unique_names([Path("a/cat.jpg"), Path("b/cat.jpg"), Path("cat-1.jpg")])
    assert len(set(names)) == 3
