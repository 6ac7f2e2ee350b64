"""Other decoders on the same backbone, through the same training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from ecenet.common.errors import UserError
from ecenet.data.layouts.folder import read_folder
from ecenet.studies.decoders import Row, compare, comparison_table, make_candidate
from ecenet.studies.options import Decoder
from ecenet.studies.short_training import logits_of
from ecenet.training.config import TrainConfig
from tests.support.helpers import changed, tiny_training, write_folder
from tests.support.refusals import refused

DECODERS = get_args(Decoder)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data = write_folder(tmp_path / "data", images=2)
    return tiny_training(data, tmp_path / "out", crop_size=64, steps=2, warmup_steps=0)


def test_every_decoder_is_trained_scored_and_timed(config: TrainConfig) -> None:
    results = compare(config, decoders=DECODERS, seeds=[0], rounds=1)
    assert tuple(results) == DECODERS
    for row in results.values():
        assert 0 <= row["miou"]["0"] <= 1
        assert row["gflops"] > 0
        assert row["milliseconds"] > 0
    assert results["ecenet"]["parameters"] < results["upernet"]["parameters"]
    assert comparison_table(results).count("\n") == 5


def test_what_is_done_is_kept_and_the_rest_goes_on(config: TrainConfig) -> None:
    compare(config, decoders=["ecenet"], seeds=[0], rounds=1)
    path = config.out / "compare.json"
    kept = json.loads(path.read_text())
    kept["results"]["ecenet"]["miou"]["0"] = 0.123
    del kept["results"]["ecenet"]["milliseconds"]  # stopped before that
    path.write_text(json.dumps(kept))

    assert set(compare(config, decoders=["fpn"], seeds=[0], rounds=1)) == {"fpn"}
    both = compare(config, decoders=["ecenet", "fpn"], seeds=[0, 1], rounds=1)
    assert both["ecenet"]["miou"]["0"] == 0.123, "not trained again"
    assert all(set(row["miou"]) == {"0", "1"} and row["milliseconds"] > 0 for row in both.values())
    with refused("changed-settings", path, "--out"):
        compare(changed(config, lr=0.5), decoders=["ecenet"], seeds=[0], rounds=1)


def test_what_cannot_be_built_is_told_before_anything_is_trained(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise UserError("package-missing", "Expected segmentation_models_pytorch, which is not installed.")

    monkeypatch.setattr("ecenet.studies.decoders.build_smp", missing)
    with refused("package-missing", "segmentation_models_pytorch"):
        compare(config, decoders=["ecenet", "fpn"], seeds=[0], rounds=1)
    assert not (config.out / "compare.json").exists(), "ECENet, which comes first, would be in it"


def test_another_seed_is_another_start(config: TrainConfig) -> None:
    data = read_folder(config.data.folder, "train")
    first, same, other = (
        make_candidate("fpn", replace(config, seed=seed), data).network.get_submodule("decoder").state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_the_best_comes_first_with_its_spread() -> None:
    def row(*mious: float) -> Row:
        return {
            "miou": {str(seed): miou for seed, miou in enumerate(mious)},
            "parameters": 2_980_000,
            "gflops": 4.44,
            "milliseconds": 29.4,
        }

    lines = comparison_table({"fpn": row(0.5), "ecenet": row(0.5, 0.6)}).splitlines()
    assert lines[2:] == ["| ecenet | 55.0 ± 7.1 | 2.98 M | 4.4 | 29 |", "| fpn | 50.0 | 2.98 M | 4.4 | 29 |"]


def test_every_decoder_starts_from_the_same_backbone(config: TrainConfig) -> None:
    data = read_folder(config.data.folder, "train")
    ours = make_candidate("ecenet", config, data).backbone.state_dict()
    for name in DECODERS[1:]:
        theirs = make_candidate(name, config, data).backbone.state_dict()
        assert set(ours) <= set(theirs), name
        assert all(theirs[key].shape == value.shape for key, value in ours.items())


def test_a_peers_backbone_is_a_part_of_it(config: TrainConfig) -> None:
    candidate = make_candidate("fpn", config, read_folder(config.data.folder, "train"))
    inner = {id(parameter) for parameter in candidate.backbone.parameters()}
    whole = {id(parameter) for parameter in candidate.network.parameters()}
    assert inner < whole
    assert logits_of(candidate.network(torch.randn(1, 3, 64, 64))).shape[:2] == (1, 3)
