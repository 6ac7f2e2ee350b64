"""Checkpoints go to the Hub with all that belongs to them, and come back from it by name and revision."""

import os
from pathlib import Path

import pytest
import torch

from ecenet.__main__ import main
from ecenet.app.server.options import Options
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank
from ecenet.inference.weights import WEIGHTS_DIR, load_model, save_model, weights_hash
from ecenet.training.shipping.hub import push_checkpoint
from tests.support.helpers import small_model, write_folder
from tests.support.local_hub import LocalHub
from tests.support.refusals import refused


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    return LocalHub(tmp_path, monkeypatch)


def test_a_run_is_shipped_and_pushed_and_opens_by_its_name(
    hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_folder(tmp_path / "data", splits=("val",), images=2), tmp_path / "meadow"
    save_model(small_model(), tmp_path / "run" / "best")
    words = ["ship", str(tmp_path / "run"), "--out", str(out), "--data", str(data), "--push", "somebody/meadow"]
    assert main(words) == 0
    assert "https://huggingface.co/somebody/meadow" in capsys.readouterr().out
    pushed = hub.root / "somebody" / "meadow" / "main"
    assert sorted(os.listdir(pushed)) == ["README.md", "config.json", "model.safetensors"]
    assert weights_hash(load_model("somebody/meadow")) == weights_hash(load_model(out))


def test_a_revision_stays_what_it_was(hub: LocalHub, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for seed, folder in enumerate((first, second)):
        torch.manual_seed(seed)
        save_model(small_model(), folder)
    assert main(["push", str(first), "somebody/meadow"]) == 0
    hub.tag("somebody/meadow", "v1")
    assert main(["push", str(second), "somebody/meadow"]) == 0
    assert weights_hash(load_model("somebody/meadow@v1")) == weights_hash(load_model(first))
    assert weights_hash(load_model("somebody/meadow")) == weights_hash(load_model(second))
    with refused("weights-not-found", "somebody/meadow@v2"):
        load_model("somebody/meadow@v2")


def test_an_app_that_a_variable_gives_its_weights_has_their_bank_too(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_checkpoint(WEIGHTS_DIR / "camvid", "somebody/streets")
    assert Options().weights == "everyday"
    monkeypatch.setenv("ECENET_WEIGHTS", "somebody/streets@main")
    registry = ModelRegistry(Options().weights, runs=tmp_path / "runs")
    assert registry.choices()[0].label == "somebody/streets@main"
    bank = find_bank(registry, registry.initial)
    assert bank is not None
    assert bank.about["class_names"] == registry.open(registry.initial).model.class_names


def test_what_stops_an_upload_is_told_and_the_checkpoint_stays(hub: LocalHub, tmp_path: Path) -> None:
    save_model(small_model(), tmp_path / "meadow")
    with refused("invalid-value", "some body/mea dow"):
        push_checkpoint(tmp_path / "meadow", "some body/mea dow")
    hub.logged_in = False
    with refused("hub-refused", "hf auth login"):
        push_checkpoint(tmp_path / "meadow", "somebody/meadow")
    assert (tmp_path / "meadow" / "config.json").is_file()


def test_a_folder_without_a_checkpoint_is_not_pushed(hub: LocalHub, tmp_path: Path) -> None:
    assert main(["push", str(tmp_path), "somebody/meadow"]) == 2
    assert not hub.root.exists()
