"""Embedding banks: one row a class, image and stage; its confusion is the evaluation's; other weights are refused."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from ecenet.__main__ import main
from ecenet.analysis.diagnostics.bank_statistics import stage_mious
from ecenet.common.distributed import launcher
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation import embedding_quality
from ecenet.evaluation.bank import EmbeddingBank, bank_class_map, bank_quality, embed_split
from ecenet.evaluation.bank_parquet import COLUMNS, read_bank, write_bank
from ecenet.evaluation.class_map import OUTSIDE, make_class_map
from ecenet.evaluation.embedding_rows import embedding_rows
from ecenet.evaluation.evaluate import evaluate
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model, save_model, weights_hash
from tests.support.helpers import CLASS_NAMES, small_model, write_classes, write_folder
from tests.support.predictions import make_prediction
from tests.support.processes import finish, start
from tests.support.refusals import refused

PREDICTED = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
TRUE = np.array([[0, 0, 1, 255], [0, 2, 1, 1]], dtype=np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"), splits=("val",), images=3)


@pytest.fixture(scope="module")
def bank(data: Path) -> EmbeddingBank:
    return embed_split(Predictor(small_model()), read_folder(data, "val"))


def test_rows_hold_the_confusion_of_their_class_by_hand() -> None:
    rows = embedding_rows(make_prediction(PREDICTED), TRUE, image=7)
    assert {row.stage for row in rows} == {"ece", "stage4", "stage3", "stage2", "stage1"}, "final has none of its own"
    first = [row for row in rows if row.stage == "stage4"]
    assert [row.class_index for row in first] == [0, 1, 2], "class 2 is labelled, though nowhere predicted"
    # Predicted as 0: two pixels of 0, one of 2. As 1: one of 0, three of 1, one unlabelled.
    assert [row.truth.tolist() for row in first] == [[2, 0, 1], [1, 3, 0], [0, 0, 0]]
    assert [row.iou for row in first] == pytest.approx([2 / 4, 3 / 4, 0])
    assert [row.area for row in first] == pytest.approx([3 / 8, 5 / 8, 0])
    assert np.isnan(first[2].confidence)
    assert first[1].embedding.tolist() == [1, 1, 1, 0]
    # Of class 0: columns 0, 0 and 1 of four, rows 0, 1 and 1 of two, at the middle of their pixels.
    assert first[0].centre == pytest.approx([(0.125 + 0.125 + 0.375) / 3, (0.25 + 0.75 + 0.75) / 3])
    assert first[1].centre == pytest.approx([0.675, 0.45])
    assert np.isnan(first[2].centre).all()
    assert all(row.image == 7 for row in rows)


def test_a_banks_confusion_is_the_evaluations(bank: EmbeddingBank, data: Path) -> None:
    result = evaluate(Predictor(small_model()), read_folder(data, "val"))
    confusion = np.zeros((3, 3), dtype=np.int64)
    at = bank.stage == "stage1"
    np.add.at(confusion.T, bank.class_index[at], bank.truth[at])
    hit = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hit
    assert np.nanmean(hit / np.where(union > 0, union, np.nan)) == pytest.approx(result.stages["stage1"])
    assert bank.images == ["images/val/0.png", "images/val/1.png", "images/val/2.png"]


def test_a_bank_comes_back_as_it_was_and_pandas_reads_it(bank: EmbeddingBank, tmp_path: Path) -> None:
    write_bank(bank, tmp_path / "bank.parquet")
    again = read_bank(tmp_path / "bank.parquet", weights=weights_hash(small_model()))
    for name in ("image", "stage", "class_index", "area", "confidence", "truth", "iou", "embedding"):
        assert np.array_equal(getattr(again, name), getattr(bank, name), equal_nan=name in ("confidence", "iou")), name
    assert (again.images, again.about) == (bank.images, bank.about)

    frame = pd.read_parquet(tmp_path / "bank.parquet")
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == len(bank)
    assert set(frame["class"]) <= set(CLASS_NAMES)
    assert np.allclose(np.stack(frame["embedding"].to_list()), bank.embedding)


def test_half_precision_is_near_and_smaller(bank: EmbeddingBank, tmp_path: Path) -> None:
    write_bank(bank, tmp_path / "full.parquet")
    write_bank(bank, tmp_path / "half.parquet", half=True)
    assert np.allclose(read_bank(tmp_path / "half.parquet").embedding, bank.embedding, atol=2e-3)
    assert (tmp_path / "half.parquet").stat().st_size < (tmp_path / "full.parquet").stat().st_size


def test_a_bank_of_other_weights_and_other_files_are_refused(bank: EmbeddingBank, tmp_path: Path) -> None:
    path = tmp_path / "bank.parquet"
    write_bank(bank, path)
    with refused(
        "wrong-weights", "bank.parquet", expected=weights_hash(small_model(seed=1)), got=bank.about["weights_hash"]
    ):
        read_bank(path, weights=weights_hash(small_model(seed=1)))
    pd.DataFrame({"image": ["a"]}).to_parquet(tmp_path / "foreign.parquet")
    with refused("wrong-file", "foreign.parquet", "python -m ecenet embed"):
        read_bank(tmp_path / "foreign.parquet")
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-50])
    nested = pq.read_table(path).replace_schema_metadata({"ecenet": "[" * 100_000})
    pq.write_table(nested, tmp_path / "nested.parquet")
    for name in ("cut.parquet", "nested.parquet", "missing.parquet"):
        with refused("file-damaged", name, "python -m ecenet embed"):
            read_bank(tmp_path / name)


def test_a_hash_follows_the_numbers_and_nothing_else(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path)
    assert weights_hash(load_model(tmp_path)) == weights_hash(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.classify.weight[0, 0] += 1e-6
    assert weights_hash(other) != weights_hash(model)


def test_two_processes_write_what_one_writes(data: Path, tmp_path: Path) -> None:
    save_model(small_model(), tmp_path / "weights")
    words = ["embed", "--weights", str(tmp_path / "weights"), "--data", str(data), "--out"]
    assert main([*words, str(tmp_path / "one.parquet")]) == 0
    finish(start([*words, str(tmp_path / "two.parquet")], launcher=tuple(launcher(2))))
    one, two = (read_bank(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.stage, two.stage)
    assert np.allclose(one.embedding, two.embedding, atol=1e-5)


def mapped_bank(folder: Path, content: Mapping[str, object]) -> EmbeddingBank:
    data = read_folder(folder, "val")
    class_map = make_class_map(content, weights_names=CLASS_NAMES, data_names=data.labels.class_names)
    return embed_split(Predictor(small_model()), data, class_map=class_map)


@pytest.mark.parametrize("rest", ["above", None])
def test_a_bank_can_hold_the_classes_that_the_weights_are_mapped_to(tmp_path: Path, rest: str | None) -> None:
    root = write_folder(tmp_path / "data", splits=("val",), images=3)
    write_classes(root, names=["above", "lawn", "animal"])
    content: dict[str, Any] = {"classes": {"grass": "lawn", "cat": "animal"}, "rest": rest}
    bank = mapped_bank(root, content)
    names = ["above", "lawn", "animal"] if rest else ["above", "lawn", "animal", OUTSIDE]
    assert bank.about["class_names"] == names
    assert len(bank.about["class_colors"]) == bank.truth.shape[1] == len(names)
    result = evaluate(
        Predictor(small_model()), read_folder(root, "val"), class_map=bank_class_map(bank, weights_names=CLASS_NAMES)
    )
    assert stage_mious(bank)["stage1"] == pytest.approx(result.stages["stage1"])

    write_bank(bank, tmp_path / "bank.parquet")
    again = read_bank(tmp_path / "bank.parquet")
    assert again.about == bank.about
    assert np.array_equal(again.truth, bank.truth)
    with refused("wrong-classes", "bank.parquet", "--map"):
        read_bank(tmp_path / "bank.parquet", own_classes=True)
    class_map = bank_class_map(again, weights_names=CLASS_NAMES)
    assert class_map is not None
    assert class_map.content == content
    with refused("wrong-classes", "grass"):
        bank_class_map(bank, weights_names=["sky", "cat", "dog"])


def test_rows_of_the_rest_say_nothing_of_embeddings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_quality, "MIN_IOU", 0.01)
    root = write_folder(tmp_path / "data", splits=("val",), images=4)
    write_classes(root, names=["above", "lawn", "animal"])
    bank = mapped_bank(root, {"classes": {"grass": "lawn", "cat": "animal"}, "rest": "above"})
    judged = (bank.class_index != 0) & (bank.area >= 0.005) & (bank.iou >= 0.01)
    for stage, found in bank_quality(bank).items():
        of_stage = judged & (bank.stage == stage)
        shared = [k for k in (1, 2) if len(np.unique(bank.image[of_stage & (bank.class_index == k)])) > 1]
        assert found.rows == (of_stage & np.isin(bank.class_index, shared)).sum()


def test_a_forged_class_map_is_refused(bank: EmbeddingBank, tmp_path: Path) -> None:
    forgeries: list[Any] = [
        *({}, [], {"classes": {"sky": 1}, "rest": None}, {"classes": {}, "rest": "sea"}, {"classes": 3})
    ]
    for forged in forgeries:
        about = bank.about | {"class_map": forged}
        write_bank(replace(bank, about=about), tmp_path / "bank.parquet")
        with refused("file-damaged", "bank.parquet"):
            read_bank(tmp_path / "bank.parquet")


def test_images_can_go_by_number(data: Path) -> None:
    bank = embed_split(Predictor(small_model()), read_folder(data, "val"), limit=2, anonymous=True)
    assert bank.images == [f"{bank.about['data']} 1", f"{bank.about['data']} 2"]


def test_a_limit_spreads_over_the_images(data: Path) -> None:
    predictor, split = Predictor(small_model()), read_folder(data, "val")
    assert embed_split(predictor, split, limit=2).images == ["images/val/0.png", "images/val/2.png"]
    with refused("out-of-range", "--limit", 1, 0):
        embed_split(predictor, split, limit=0)
