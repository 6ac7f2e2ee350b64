"""The Evaluate tab: which bank it shows, what its cells open, what it refuses."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CLASS_NAMES, small_model, write_folder

from ecenet.bank import EmbeddingBank, embed_split, write_bank
from ecenet.data.folder import read_folder
from ecenet.errors import UserError
from ecenet.explore.dataset import stage_confusion
from ecenet.predictor import Predictor
from ecenet.ui import dataset
from ecenet.ui.selection import Selection
from ecenet.ui.session import Session, new_session
from ecenet.ui.shelf import ModelShelf
from ecenet.weights import save_model


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingBank:
    data = write_folder(tmp_path_factory.mktemp("data"), splits=("val",), images=4)
    return embed_split(Predictor(small_model()), read_folder(data, "val"))


@pytest.fixture
def shelf(tmp_path: Path) -> ModelShelf:
    save_model(small_model(), tmp_path / "own")
    return ModelShelf(tmp_path / "own", runs=tmp_path / "runs")


def cell(shelf: ModelShelf, session: Session, opened: EmbeddingBank | None, **data: Any) -> str:
    return dataset.show_cell(session, Selection(), opened, data, shelf=shelf)


def test_without_a_bank_it_says_how_to_make_one(shelf: ModelShelf) -> None:
    about, *rest = dataset.render(new_session(shelf), Selection(), None, shelf=shelf)
    assert "python -m ecenet embed" in about
    assert rest == ["", "", ""]


def test_a_bank_beside_the_weights_is_shown_and_says_what_it_is(
    shelf: ModelShelf, bank: EmbeddingBank, tmp_path: Path
) -> None:
    trained_on = replace(bank, about=bank.about | {"split": "train"})
    write_bank(trained_on, tmp_path / "own" / "bank.parquet")
    session = new_session(shelf)
    about, matrix, worst, spreads = dataset.render(session, Selection(stage="stage2"), None, shelf=shelf)
    assert "4 images" in about
    assert "trained on them" in about
    confusion = stage_confusion(bank, "stage2")
    cells = re.findall(r'data-truth="(\d)" data-predicted="(\d)"[^>]*--share:([\d.]+)', matrix)
    for truth, predicted, share in cells:
        row = confusion[int(truth)]
        assert float(share) == pytest.approx(row[int(predicted)] / row.sum(), abs=1e-3)
    assert len(cells) == np.count_nonzero(confusion.sum(axis=1)) ** 2
    assert "Stage 2" in matrix
    assert worst.count("<li>") == 4
    assert all(name in spreads for name in CLASS_NAMES if name in re.findall(r"</span>(\w+)", spreads))

    about, *_ = dataset.render(session, Selection(), bank, shelf=shelf)
    assert "trained on them" not in about, "what the visitor opened comes first"
    save_model(small_model(seed=1), tmp_path / "own")
    about, *_ = dataset.render(session, Selection(), bank, shelf=shelf)
    assert "no bank" in about, "both are of other weights"


def test_a_cell_opens_the_images_behind_it(shelf: ModelShelf, bank: EmbeddingBank) -> None:
    session = new_session(shelf)
    confusion = stage_confusion(bank, "stage1")  # the last that makes embeddings, for the final one
    truth, predicted = np.unravel_index(confusion.argmax(), confusion.shape)
    page = cell(shelf, session, bank, truth=int(truth), predicted=int(predicted))
    counts = [int(text.replace(",", "")) for text in re.findall(r"<b>([\d,]+)</b>", page)]
    assert sum(counts) == confusion.max()
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("data", [{}, {"truth": 0, "predicted": 3}, {"truth": "0", "predicted": 0}, {"truth": -1}])
def test_a_forged_cell_is_refused(shelf: ModelShelf, bank: EmbeddingBank, data: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="click a cell"):
        cell(shelf, new_session(shelf), bank, **data)


def test_a_cell_without_a_bank_is_refused(shelf: ModelShelf) -> None:
    with pytest.raises(UserError, match="open one first"):
        cell(shelf, new_session(shelf), None, truth=0, predicted=0)
