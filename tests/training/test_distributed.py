"""The same batch gives the same training, whether one process takes it whole, in parts, or shares it with another."""

import json
from pathlib import Path
from typing import Any

import pytest

from ecenet.common.distributed import launcher
from ecenet.inference.weights import load_model
from ecenet.training.loop import train
from ecenet.training.run_folder import read_metrics
from tests.support.helpers import tiny_training, write_backbone, write_folder
from tests.support.processes import arguments, finish, start
from tests.support.refusals import refused

TWO_PROCESSES = tuple(launcher(2))
EVERY_LOSS = {
    **{"steps": 20, "validate_every": 20, "stage_loss": "dice_focal", "presence_weight": 0.1, "jaccard_weight": 0.3},
    **{"class_balance": 0.5, "hard_pixels": 0.5, "paste": 0.5, "frozen_stages": 1, "frozen_steps": 10},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which some have far fewer labelled pixels than others: their mean must not be a mean of means. Beside
    them a backbone whose batch-norm statistics stay as they are, or they would depend on the parts."""
    root = write_folder(tmp_path_factory.mktemp("data"), images=5)
    write_backbone(root / "backbone.safetensors")
    return root


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "alone"
    finish(start(arguments(data, out, **EVERY_LOSS, backbone_weights=data / "backbone.safetensors")))
    return out


@pytest.mark.parametrize("kind", ["two processes", "accumulated"])
def test_a_batch_that_is_split_gives_the_same_losses_and_scores(
    data: Path, alone: Path, tmp_path: Path, kind: str
) -> None:
    parts: dict[str, Any] = {"accumulate": 2} if kind == "accumulated" else {}
    parts["backbone_weights"] = data / "backbone.safetensors"
    words = TWO_PROCESSES if kind == "two processes" else ()
    finish(start(arguments(data, tmp_path / "run", **EVERY_LOSS | parts), launcher=words))

    processes = json.loads((tmp_path / "run" / "run.json").read_text())["processes"]
    assert processes == (2 if kind == "two processes" else 1)
    ours, theirs = read_metrics(tmp_path / "run"), read_metrics(alone)
    steps = [*range(1, 21), 20]
    assert [entry["step"] for entry in ours] == [entry["step"] for entry in theirs] == steps
    for name in ("total", "final", "stages", "presence", "jaccard", "diversity"):
        assert ours[-2][name] == pytest.approx(theirs[-2][name], abs=1e-4)
    assert ours[-1]["val"]["stages"] == pytest.approx(theirs[-1]["val"]["stages"], abs=5e-3)
    assert ours[-1]["val"]["images"] == 5
    weights = [load_model(run / "model").state_dict() for run in (tmp_path / "run", alone)]
    largest = max(float((value - weights[1][key]).abs().max()) for key, value in weights[0].items())
    assert largest < 1e-3


def test_a_batch_that_cannot_be_shared_evenly_is_refused(data: Path, tmp_path: Path) -> None:
    config = tiny_training(data, tmp_path / "run", batch_size=6, accumulate=4)
    with refused("conflicting-options", "batch_size", "processes × accumulate = 4", 6, 8):
        train(config)


def test_two_processes_score_what_one_scores(data: Path, alone: Path, tmp_path: Path) -> None:
    scores = []
    for name, words_before in (("one", ()), ("two", TWO_PROCESSES)):
        words = ["evaluate", "--weights", str(alone / "model"), "--data", str(data), "--json", str(tmp_path / name)]
        finish(start(words, launcher=words_before))
        scores.append(json.loads((tmp_path / name).read_text()) | {"seconds_per_image": None})
    assert scores[0] == scores[1]
    assert scores[0]["images"] == 5
