"""A finished run's weights in the app: its bank, and photos that it did not learn from."""

from pathlib import Path

import pytest

from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank
from ecenet.app.state.run_bank import lacks_bank, make_run_bank, open_run
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import add_photo, new_session
from ecenet.inference.weights import save_model
from ecenet.training.loop import train
from tests.support.helpers import noise_image, small_model, tiny_training, write_folder
from tests.support.refusals import refused


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRegistry:
    """With one finished run, `mine`."""
    config = tiny_training(write_folder(tmp_path / "data"), tmp_path / "runs" / "mine", steps=2)
    words = ["train", "--data", str(tmp_path / "data"), "--out", str(config.out)]
    monkeypatch.setattr("sys.argv", ["ecenet", *words])
    train(config)
    save_model(small_model(), tmp_path / "weights")
    return ModelRegistry(tmp_path / "weights", runs=tmp_path / "runs")


def test_a_run_opens_with_its_bank_and_photos_of_its_validation(registry: ModelRegistry, tmp_path: Path) -> None:
    assert lacks_bank(registry, "run:mine")
    assert not lacks_bank(registry, registry.initial), "there is no run whose data it could be made from"
    session, selection = open_run(new_session(registry), Selection(), "mine", registry=registry, root=tmp_path / "runs")
    assert session.model == "run:mine"
    assert len(session.photos) == 6
    assert all(photo.true_mask is not None for photo in session.photos)
    assert selection.revision == 1
    bank = find_bank(registry, "run:mine")
    assert bank is not None
    assert bank.about["split"] == "train"
    assert len(bank.images) == 6
    assert not lacks_bank(registry, "run:mine")


def test_photos_that_are_there_are_segmented_by_it_and_no_others_come(registry: ModelRegistry, tmp_path: Path) -> None:
    noise_image(90, 60).save(tmp_path / "own.png")
    session = new_session(registry)
    session = add_photo(session, str(tmp_path / "own.png"), predictor=registry.open(session.model))
    session, _ = open_run(session, Selection(), "mine", registry=registry, root=tmp_path / "runs")
    assert [photo.name for photo in session.photos] == ["own"]
    assert session.model == "run:mine"


def test_what_is_no_run_or_has_lost_its_data_is_refused(registry: ModelRegistry, tmp_path: Path) -> None:
    session = new_session(registry)
    for name in ("other", None, "../mine"):
        with refused("unknown-choice"):
            open_run(session, Selection(), name, registry=registry, root=tmp_path / "runs")
    (tmp_path / "data").rename(tmp_path / "moved")
    with refused("data-missing", tmp_path / "data" / "images" / "train"):
        make_run_bank(registry, "run:mine", root=tmp_path / "runs")
