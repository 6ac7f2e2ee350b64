"""Checkpoints in several files: written where one would be too large, read as one."""

import json
from pathlib import Path

import pytest
import torch

from ecenet.inference import weights
from ecenet.inference.weights import checkpoint_files, load_model, save_model, weights_hash
from ecenet.model.backbone import load_backbone_file
from ecenet.model.ecenet import ECENet
from tests.support.helpers import small_model
from tests.support.refusals import refused

SHARD = 700_000
INDEX = "model.safetensors.index.json"


@pytest.fixture
def sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "SHARD_BYTES", SHARD)
    save_model(small_model(), tmp_path / "sharded", half=True)
    return tmp_path / "sharded"


def test_no_file_is_larger_than_allowed_and_all_are_read(sharded: Path) -> None:
    files = checkpoint_files(sharded)
    assert len(files) > 3
    assert all(file.stat().st_size <= SHARD for file in sharded.iterdir())
    loaded = load_model(sharded).state_dict()
    for name, tensor in small_model().half().state_dict().items():
        assert torch.equal(loaded[name], tensor.to(loaded[name].dtype)), name


def test_shards_are_the_same_weights_as_one_file(
    sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "SHARD_BYTES", 10_000_000)
    save_model(small_model(), tmp_path / "single", half=True)
    assert [file.name for file in checkpoint_files(tmp_path / "single")] == ["config.json", "model.safetensors"]
    assert weights_hash(load_model(sharded)) == weights_hash(load_model(tmp_path / "single"))


def test_what_lay_there_before_does_not_stay(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "SHARD_BYTES", 10_000_000)
    save_model(small_model(seed=1), sharded, half=True)
    assert sorted(file.name for file in sharded.glob("model*")) == ["model.safetensors"]
    assert weights_hash(load_model(sharded)) == weights_hash(load_model(sharded).half().float())


def test_from_pretrained_reads_shards_too(sharded: Path) -> None:
    assert weights_hash(ECENet.from_pretrained(sharded)) == weights_hash(load_model(sharded))


def test_a_backbone_may_come_from_shards(sharded: Path) -> None:
    network = small_model(seed=1).backbone.network
    load_backbone_file(network, sharded)
    stem = load_model(sharded).get_parameter("backbone.network.conv_stem.weight")
    assert torch.equal(network.get_parameter("conv_stem.weight"), stem)


def test_a_shard_that_is_missing_is_named(sharded: Path) -> None:
    shard = checkpoint_files(sharded)[-1]
    shard.unlink()
    with refused("file-missing", shard.name):
        load_model(sharded)


@pytest.mark.parametrize("index", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "../a.safetensors"}}'])
def test_an_index_that_is_none_is_refused(sharded: Path, index: str) -> None:
    (sharded / INDEX).write_text(index)
    with refused("file-damaged", sharded / INDEX):
        load_model(sharded)


def test_tensors_that_a_shard_lacks_are_named(sharded: Path) -> None:
    index = json.loads((sharded / INDEX).read_text())
    keep = sorted(set(index["weight_map"].values()))[1:]
    index["weight_map"] = {name: file for name, file in index["weight_map"].items() if file in keep}
    (sharded / INDEX).write_text(json.dumps(index))
    with refused("tensor-mismatch", sharded):
        load_model(sharded)
