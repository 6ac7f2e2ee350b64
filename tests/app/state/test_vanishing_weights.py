"""Weights that are deleted, cut short or replaced while photos are on the page."""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, predict_scenario
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank, find_warning
from ecenet.app.state.session import add_photo, choose_model, new_session
from ecenet.common.errors import UserError
from ecenet.inference.weights import save_model, weights_hash
from ecenet.model.tensor_files import read_tensors
from ecenet.training.checkpoint import save_weights
from ecenet.training.jobs.status import run_reports
from ecenet.training.run_folder import list_runs
from tests.app.state.test_model_registry import photo_file, write_run
from tests.support.helpers import noise_image, small_model
from tests.support.refusals import refused

KEY = "run:mine"


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    write_run(tmp_path / "runs" / "mine")
    return ModelRegistry("everyday", runs=tmp_path / "runs", max_loaded=1)


def label(registry: ModelRegistry, key: str) -> str:
    return next(choice.label for choice in registry.choices() if choice.key == key)


def test_a_model_whose_folder_is_deleted_goes_on_and_its_label_says_so(
    registry: ModelRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = choose_model(new_session(registry), KEY, registry=registry)
    session = add_photo(session, photo_file(tmp_path), predictor=registry.open(KEY))
    assert label(registry, KEY) == "mine (run, mIoU 71.2)"
    shutil.rmtree(tmp_path / "runs" / "mine")
    assert label(registry, KEY) == "mine (run, mIoU 71.2) (files are missing; still loaded)"

    session = add_photo(session, photo_file(tmp_path), predictor=registry.open(KEY))
    assert len(session.photos) == 2
    scenario = Scenario(knock_outs=KnockOuts(diverse=False))
    assert predict_scenario(registry.open(KEY), session.photos[0].prediction, scenario).class_names
    assert find_bank(registry, KEY) is None
    assert find_warning(registry, KEY) is None
    gone = [one.__dict__["facts"] for one in caplog.records if one.message == "weights gone"]
    assert [facts["model"] for facts in gone] == ["mine (run, mIoU 71.2)"]

    registry.open("weights:everyday")  # the registry has one place
    with pytest.raises(UserError) as caught:
        registry.open(KEY)
    assert str(tmp_path) not in str(caught.value)
    assert KEY not in [choice.key for choice in registry.choices()]


def test_a_model_whose_file_is_cut_short_goes_on_until_there_is_a_whole_one(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    before = registry.open(KEY)
    tensors = tmp_path / "runs" / "mine" / "best" / "model.safetensors"
    os.truncate(tensors, tensors.stat().st_size // 2)
    assert registry.open(KEY) is before
    assert label(registry, KEY).endswith("(files are damaged; still loaded)")
    save_model(small_model(seed=1), tensors.parent)
    assert registry.open(KEY) is not before
    assert registry.open(KEY).weights_hash == weights_hash(small_model(seed=1))
    assert label(registry, KEY) == "mine (run, mIoU 71.2)"


def test_what_other_weights_have_seen_is_not_mixed_with_what_these_do(registry: ModelRegistry, tmp_path: Path) -> None:
    session = choose_model(new_session(registry), KEY, registry=registry)
    session = add_photo(session, photo_file(tmp_path), predictor=registry.open(KEY))
    save_weights(tmp_path / "runs" / "mine" / "best", small_model(seed=1))
    kept = session.photos[0].prediction.features
    with refused("outdated-page"):
        registry.open(KEY).predict_features(kept)
    again = choose_model(session, KEY, registry=registry).photos[0].prediction
    registry.open(KEY).predict_features(again.features)


def test_weights_that_a_run_is_writing_are_never_seen_half(registry: ModelRegistry, tmp_path: Path) -> None:
    models = [small_model(seed=seed) for seed in (0, 1)]
    known = {weights_hash(model) for model in models}
    written = threading.Event()

    def write() -> None:
        for number in range(20):
            save_weights(tmp_path / "runs" / "mine" / "best", models[number % 2])
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    opened = [registry.open(KEY)]
    while not written.is_set():
        opened.append(registry.open(KEY))
        assert "damaged" not in label(registry, KEY)
    writer.join()
    assert {one.weights_hash for one in {id(one): one for one in opened}.values()} <= known
    assert registry.open(KEY).weights_hash == weights_hash(models[1])


def test_runs_are_listed_while_one_of_them_saves(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "mine")
    done = threading.Event()

    def save() -> None:  # as `save_weights` does: a folder that comes and goes
        partial = tmp_path / "runs" / "mine" / "best.part"
        while not done.is_set():
            partial.mkdir()
            partial.rmdir()

    saver = threading.Thread(target=save)
    saver.start()
    try:
        for _ in range(300):
            assert [run.folder.name for run in list_runs(tmp_path / "runs")] == ["mine"]
            assert [run.name for run in run_reports(tmp_path / "runs")] == ["mine"]
    finally:
        done.set()
        saver.join()


def test_a_file_that_is_cut_short_meanwhile_does_not_end_the_process(tmp_path: Path) -> None:
    """As it would where the file was mapped into memory; in a process of its own, since that is how it would show."""
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1_000_000)}, path)
    child = os.fork()
    if child == 0:
        tensors = read_tensors(tmp_path, wanted={"a": torch.empty(1_000_000)})
        os.truncate(path, 1000)
        os._exit(0 if np.all(tensors["a"].numpy() == 1) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_folder_that_is_gone_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(small_model(), tmp_path / "weights" / "mine")
    monkeypatch.chdir(tmp_path)
    registry = ModelRegistry("weights/mine", runs=tmp_path / "runs")
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(UserError) as caught:
        registry.open(registry.initial)
    assert "neither answers" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    save_model(small_model(), tmp_path / "weights" / "mine")
    assert registry.open(registry.initial).predict(noise_image(20, 20)).class_names
