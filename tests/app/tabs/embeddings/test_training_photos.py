"""The training photos behind a class: of a photo that the bank was made from, its own embedding."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecenet.app.state.selection import MIN_AREA, Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.embeddings.training_photos import NEIGHBORS, Found, find, render, render_pictures, training_data
from ecenet.data.layouts.folder import read_folder
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.bank import embed_split
from ecenet.evaluation.bank_parquet import write_bank
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.helpers import small_model, write_folder
from tests.support.maps import FolderOnly
from tests.support.refusals import refused

CHOSEN = 2
"""The photo of the bank that the visitor brings, too."""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model(), device="cpu", half=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledSplit:
    return read_folder(write_folder(tmp_path_factory.mktemp("data"), images=4), "train")


@pytest.fixture(scope="module")
def registry(predictor: Predictor, data: LabelledSplit, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("weights")
    save_model(predictor.model, folder)
    write_bank(embed_split(predictor, data, anonymous=True), folder / "bank.parquet")
    return FolderOnly(folder)


@pytest.fixture(scope="module")
def session(predictor: Predictor, data: LabelledSplit) -> Session:
    photo = Photo("mine", predictor.predict(data.load(CHOSEN)[0]))
    return Session((photo,), model="own", stage_names=tuple(predictor.model.stage_names))


def found_at(session: Session, registry: Any, stage: str, *, count: int = 2) -> Found:
    found = find(session, Selection(stage=stage), count, registry=registry)
    assert found is not None
    return found


def test_a_training_photo_finds_itself_at_every_stage(session: Session, registry: Any) -> None:
    for stage in ("ece", "stage3", "stage1"):
        found = found_at(session, registry, stage)
        # The largest class of the final mask need not be large enough at every stage.
        if session.photos[0].prediction.stages[stage].area[found.class_index] <= MIN_AREA:
            continue
        first = int(found.rows[0])
        assert found.distances[0] == pytest.approx(0, abs=1e-4)
        assert found.bank.image[first] == CHOSEN
        assert found.bank.class_index[first] == found.class_index
        assert found.kinds is not None
        assert found.own_kind is not None
        assert first in found.kinds.clusters[found.own_kind].rows


def test_final_stands_for_the_last_embeddings(session: Session, registry: Any) -> None:
    assert found_at(session, registry, "final").stage == "stage1"


def test_there_are_no_more_groups_than_embeddings(session: Session, registry: Any) -> None:
    found = found_at(session, registry, "ece", count=8)
    assert found.kinds is not None
    assert 1 <= len(found.kinds.clusters) <= 4


def test_the_tables_tell_photos_classes_and_groups(session: Session, registry: Any) -> None:
    _, page, pictures = render(session, Selection(stage="ece"), 2, registry=registry)
    found = found_at(session, registry, "ece")
    assert pictures == ""
    assert page.count("<tr><td>") == len(found.rows) + len(found.kinds.clusters if found.kinds else [])
    assert len(found.rows) <= NEIGHBORS
    assert f"tiny {CHOSEN + 1}</td>" in page
    assert page.count("(this photo)") == 1
    assert "nearest to" in page

    absent = "cat" if session.photos[0].prediction.stages["ece"].area[2] == 0 else "sky"
    _, page, _ = render(session, Selection(stage="ece", class_name=absent), 2, registry=registry)
    assert ("not in its mask" in page) == (
        session.photos[0].prediction.stages["ece"].area[["sky", "grass", "cat"].index(absent)] == 0
    )


def test_without_photo_or_bank_nothing_is_told(session: Session) -> None:
    bare: Any = FolderOnly(None)
    assert render(Session(), Selection(), 3, registry=bare)[1:] == ("", "")
    assert "no bank" in render(session, Selection(), 3, registry=bare)[1]
    assert find(session, Selection(), 3, registry=bare) is None


def test_photos_are_shown_where_their_data_is(
    session: Session, registry: Any, data: LabelledSplit, predictor: Predictor, tmp_path: Path
) -> None:
    found = found_at(session, registry, "ece")
    assert training_data(session, found, "", "folder", runs=tmp_path) is None
    read = training_data(session, found, str(data.root), "folder", runs=tmp_path)
    assert read is not None
    seen: list[int] = []

    def track(rows: Any) -> Any:
        seen.extend(rows)
        return rows

    page = render_pictures(found, data=read, predictor=predictor, track=track)
    medoids = [one.medoid for one in found.kinds.clusters] if found.kinds else []
    assert page.count("<figure") == len(found.rows) + len(medoids)
    assert sorted(seen) == sorted({*found.rows.tolist(), *medoids}), "each photo is segmented once"
    other = read_folder(write_folder(tmp_path / "other", images=3), "train")
    with refused("wrong-data", 4, 3):
        render_pictures(found, data=other, predictor=predictor)
    with refused("unknown-choice", "mine"):
        training_data(replace(session, model="run:mine"), found, "", "folder", runs=tmp_path)
