"""Other decoders on the same backbone, through the same training."""

import json
from pathlib import Path

import pytest
import torch
from helpers import tiny_training, write_folder

from ecenet.compare import compare, comparison_table, make_contender
from ecenet.config import TrainConfig
from ecenet.data.folder import read_folder
from ecenet.trial import logits_of

DECODERS = ("ecenet", "deeplabv3plus", "fpn", "upernet")


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data = write_folder(tmp_path / "data", images=2)
    return tiny_training(data, tmp_path / "out", crop_size=64, steps=2, warmup_steps=0)


def test_every_decoder_is_trained_scored_and_timed_and_those_done_are_kept(config: TrainConfig) -> None:
    results = compare(config, rounds=1)
    assert tuple(results) == DECODERS
    for row in results.values():
        assert 0 <= row["miou"] <= 1
        assert row["gflops"] > 0
        assert row["milliseconds"] > 0
    assert results["ecenet"]["parameters"] < results["upernet"]["parameters"]

    marked = results | {"fpn": results["fpn"] | {"miou": 0.123}}
    (config.out / "compare.json").write_text(json.dumps(marked))
    again = compare(config, rounds=1)
    assert again["fpn"]["miou"] == 0.123, "not trained again"
    assert comparison_table(again).count("\n") == 5


def test_every_decoder_starts_from_the_same_backbone(config: TrainConfig) -> None:
    data = read_folder(config.data, "train")
    ours = make_contender("ecenet", config, data).backbone.network.state_dict()
    for name in DECODERS[1:]:
        theirs = make_contender(name, config, data).backbone.model.state_dict()
        assert set(ours) <= set(theirs), name
        assert all(theirs[key].shape == value.shape for key, value in ours.items())


def test_a_peers_backbone_is_a_part_of_it(config: TrainConfig) -> None:
    contender = make_contender("fpn", config, read_folder(config.data, "train"))
    inner = {id(parameter) for parameter in contender.backbone.parameters()}
    whole = {id(parameter) for parameter in contender.network.parameters()}
    assert inner < whole
    assert logits_of(contender.network(torch.randn(1, 3, 64, 64))).shape[:2] == (1, 3)
