"""Training: what it leaves behind, what resuming restores, what is refused."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ecenet.training.step
from ecenet.common.errors import UserError
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.evaluate import evaluate
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model
from ecenet.training.config import ModelConfig, TrainConfig
from ecenet.training.loop import log_every, train
from ecenet.training.setup import new_model
from tests.support.helpers import changed, tiny_training, write_backbone, write_classes, write_folder
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_folder(tmp_path_factory.mktemp("data"), splits=("train",), images=6)
    return write_folder(root, splits=("val",), images=2)


@pytest.fixture(scope="module")
def config(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Six small steps; the backbone joins in at the fourth."""
    runs = tmp_path_factory.mktemp("runs")
    backbone = write_backbone(runs / "backbone.safetensors")
    rhythm = {"frozen_steps": 3, "warmup_steps": 2, "save_every": 3, "validate_every": 2}
    return tiny_training(data, runs / "whole", backbone_weights=backbone, **rhythm)


@pytest.fixture(scope="module")
def whole(config: TrainConfig) -> Path:
    """The folder of an uninterrupted run."""
    train(config)
    return config.out


def checkpoint(run: Path) -> dict[str, Any]:
    return torch.load(run / "last.pt", weights_only=True)


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_equal(ours: Any, theirs: Any) -> None:
    """Bit for bit, through dicts and lists."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_equal(ours[key], theirs[key])
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)
    elif isinstance(ours, Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


def initial_weights(config: TrainConfig) -> dict[str, Tensor]:
    torch.manual_seed(config.seed)
    return new_model(config, read_folder(config.data.folder, config.data.train_split)).state_dict()


def test_a_run_leaves_a_model_and_its_validations(config: TrainConfig, whole: Path) -> None:
    entries = metrics(whole)
    assert [entry["step"] for entry in entries if "val" in entry] == [2, 4, 6]
    model = load_model(whole / "model")
    assert model.class_names == ["sky", "grass", "cat"]
    assert model.image_size == 64
    assert model.recipe["train"]["steps"] == 6
    result = evaluate(Predictor(model), read_folder(config.data.folder, "val")).to_json()
    times = {"seconds_per_image": 0}
    confusion: Any = result.pop("confusion")  # too long for a log line
    assert sum(map(sum, confusion)) == 2 * 62 * 62, "all pixels but the frame"
    assert {**result, **times} == {**entries[-1]["val"], **times}


@pytest.mark.parametrize(("steps", "every"), [(6, 1), (99, 1), (100, 2), (999, 19), (1000, 20), (100_000, 20)])
def test_losses_are_logged_at_least_every_fiftieth_of_a_run(steps: int, every: int) -> None:
    assert log_every(steps) == every


def test_the_saved_model_is_the_average_not_the_last_weights(whole: Path) -> None:
    saved, state = load_model(whole / "model").state_dict(), checkpoint(whole)
    assert_equal(saved, {key.removeprefix("module."): v for key, v in state["averaged"].items() if key != "n_averaged"})
    assert any(not torch.equal(saved[key], value) for key, value in state["model"].items())


def test_a_killed_and_resumed_run_ends_bit_for_bit_like_a_whole_one(
    config: TrainConfig, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_at_step_5(step: int, *options: Any, **more: Any) -> float:
        if step == 5:
            raise KeyboardInterrupt
        return learning_rate_factor(step, *options, **more)

    learning_rate_factor = ecenet.training.step.learning_rate_factor
    killed = changed(config, out=tmp_path / "run")
    monkeypatch.setattr(ecenet.training.step, "learning_rate_factor", kill_at_step_5)
    with pytest.raises(KeyboardInterrupt):
        train(killed)
    monkeypatch.undo()
    assert checkpoint(killed.out)["step"] == 3
    assert [entry["step"] for entry in metrics(killed.out) if "val" in entry] == [2, 4]
    with (killed.out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "to')  # what a kill leaves of a line

    # What does not touch the result may change meanwhile, the global generator included.
    torch.manual_seed(99)
    train(changed(killed, workers=1, save_every=2))
    assert_equal(checkpoint(killed.out), checkpoint(whole))
    assert_equal(load_model(killed.out / "model").state_dict(), load_model(whole / "model").state_dict())
    assert [entry["step"] for entry in metrics(killed.out) if "val" in entry] == [2, 4, 6]
    assert [entry["step"] for entry in metrics(killed.out) if "total" in entry] == [1, 2, 3, 4, 5, 6]
    assert not list(killed.out.glob("*.part"))


def test_a_run_that_is_older_than_some_settings_goes_on_without_them(
    config: TrainConfig, whole: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    stored = torch.load(run / "last.pt", weights_only=True)
    for name in ("attention", "gate_bias", "candidate"):
        del stored["settings"][name]
    torch.save(stored, run / "last.pt")
    train(changed(config, out=run))
    with refused("changed-settings", "attention plain → negated"):
        train(changed(config, out=run, model=replace(config.model, attention="negated")))


def test_a_complete_run_is_only_scored_again(config: TrainConfig, whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(run / "model")
    again = train(changed(config, out=run)).to_json()
    again.pop("confusion")
    assert {**again, "seconds_per_image": 0} == {**metrics(whole)[-1]["val"], "seconds_per_image": 0}
    assert (run / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    assert_equal(load_model(run / "model").state_dict(), load_model(whole / "model").state_dict())


@pytest.mark.parametrize("damage", ["torn", "empty", "other"])
def test_a_damaged_checkpoint_is_refused_and_left(
    config: TrainConfig, whole: Path, tmp_path: Path, damage: str
) -> None:
    data = (whole / "last.pt").read_bytes()
    content = {"torn": data[: len(data) // 2], "empty": b"", "other": b"no checkpoint"}[damage]
    (tmp_path / "last.pt").write_bytes(content)
    with refused("file-damaged", tmp_path / "last.pt", "--out") as caught:
        train(changed(config, out=tmp_path))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "last.pt").read_bytes() == content


def test_a_run_is_not_resumed_with_other_settings(config: TrainConfig, whole: Path) -> None:
    before = (whole / "last.pt").read_bytes()
    other = changed(config, seed=1, lr=0.5, scale=(1.0, 2.0), model=ModelConfig(embed_dim=16))
    with pytest.raises(UserError) as caught:
        train(other)
    named = str(caught.value)
    for expected in ("seed 0 → 1", "lr 0.001 → 0.5", "scale [0.5, 1.75] → [1.0, 2.0]", "embed_dim 8 → 16"):
        assert expected in named
    assert "steps" not in named
    assert (whole / "last.pt").read_bytes() == before


def test_a_run_may_be_resumed_after_its_data_moved(config: TrainConfig, whole: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(config.data.folder, tmp_path / "elsewhere" / config.data.folder.name)
    run = shutil.copytree(whole, tmp_path / "run")
    train(changed(config, data=moved, out=run))
    with refused("changed-settings", run, f"data {config.data.folder.name} → renamed", "--out"):
        train(changed(config, data=shutil.copytree(moved, tmp_path / "renamed"), out=run))


def test_a_run_that_began_before_an_option_came_is_resumed_without_it(
    config: TrainConfig, whole: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    older = checkpoint(run)
    for name in ("jaccard_weight", "contrast_weight", "class_sampling"):
        del older["settings"][name]
    torch.save(older, run / "last.pt")
    with refused("changed-settings", run, "jaccard_weight 0.0 → 0.5", "--out"):
        train(changed(config, out=run, jaccard_weight=0.5))
    with refused("changed-settings", run, "class_sampling 0.5 → 0.25", "contrast_weight 0.0 → 0.3", "--out"):
        train(changed(config, out=run, class_sampling=0.25, contrast_weight=0.3))
    train(changed(config, out=run))


def test_a_run_is_not_resumed_with_other_classes(config: TrainConfig, whole: Path, tmp_path: Path) -> None:
    renamed = shutil.copytree(config.data.folder, tmp_path / config.data.folder.name)
    write_classes(renamed, names=["sky", "grass", "dog"])
    run = shutil.copytree(whole, tmp_path / "run")
    with refused("changed-settings", run, "class_names ['sky', 'grass', 'cat'] → ['sky', 'grass', 'dog']"):
        train(changed(config, data=renamed, out=run))


def test_a_learning_rate_of_zero_leaves_every_weight_as_it_was(config: TrainConfig, tmp_path: Path) -> None:
    still = changed(config, out=tmp_path, lr=0, backbone_lr=0, frozen_steps=1, steps=2, weight_decay=0.5)
    train(still)
    initial = initial_weights(still)
    assert_equal(checkpoint(tmp_path)["model"], initial)
    assert_equal(load_model(tmp_path / "model").state_dict(), initial)


def changed_parts(config: TrainConfig) -> set[str]:
    """Which kinds of tensors differ from the start after the run: head, backbone, statistics."""
    train(config)
    initial, trained = initial_weights(config), checkpoint(config.out)["model"]
    parts = set()
    for key, value in trained.items():
        if not torch.equal(value, initial[key]):
            statistics = key.endswith(("running_mean", "running_var", "num_batches_tracked"))
            parts.add("statistics" if statistics else key.split(".")[0].replace("backbone", "trunk"))
    return {part if part in ("statistics", "trunk") else "head" for part in parts}


@pytest.mark.parametrize(
    ("frozen_steps", "frozen_batch_norm", "expected"),
    [
        (2, True, {"head"}),
        (2, False, {"head"}),
        (1, True, {"head", "trunk"}),
        (1, False, {"head", "trunk", "statistics"}),
    ],
)
def test_the_backbone_and_its_statistics_rest_until_they_may_learn(
    config: TrainConfig, tmp_path: Path, frozen_steps: int, frozen_batch_norm: bool, expected: set[str]
) -> None:
    changes = changed(
        config,
        out=tmp_path,
        steps=2,
        frozen_steps=frozen_steps,
        frozen_batch_norm=frozen_batch_norm,
        weight_decay=0.5,  # must not reach what has no gradient
        backbone_lr=1e-2,
    )
    assert changed_parts(changes) == expected


def test_a_loss_that_is_not_finite_ends_the_run_and_names_its_images(config: TrainConfig, tmp_path: Path) -> None:
    with refused("loss-not-finite", "nan", "lr", "--out") as caught:
        train(changed(config, out=tmp_path, lr=1e30, warmup_steps=0))
    assert re.search(r" step \d .* \d\.png, \d\.png\b", str(caught.value))


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "remedy"),
    [
        (8, 1, ("--accumulate 2", 4)),
        (12, 4, ("--accumulate 6", 2)),
        (2, 2, ("--crop-size", 32)),
    ],
)
def test_a_device_that_is_too_small_is_told_which_parts_to_try(
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
    accumulate: int,
    remedy: tuple[object, ...],
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ecenet.training.step, "segmentation_losses", full)
    with refused("out-of-memory", batch_size // accumulate, "32×32", *remedy):
        train(changed(config, out=tmp_path, batch_size=batch_size, accumulate=accumulate))
