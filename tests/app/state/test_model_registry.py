"""The model list: what is on it, what may be opened, what stays in memory, and what a choice does to the photos."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from ecenet.app.error_toasts import show_errors
from ecenet.app.sidebar import model_picker
from ecenet.app.state.model_registry import ModelChoice, ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session, add_photo, choose_model, new_session
from ecenet.app.tabs import segment
from ecenet.common.errors import UserError
from ecenet.inference.oom_fallback import SteadyPredictor
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model, shipped_weights
from ecenet.training.config import ModelConfig
from tests.support.helpers import CLASS_NAMES, noise_image, small_model
from tests.support.predictions import make_prediction
from tests.support.refusals import refused
from tests.support.web.toasts import toasted

SHALLOW = ModelConfig(embed_dim=16, out_indices=(2, 3))


def write_run(
    folder: Path, *, miou: float = 0.712, step: int = 10, config: ModelConfig | None = None, seed: int = 0
) -> None:
    """A run of ten steps that has come to `step`."""
    for name in ("model", "best"):
        save_model(small_model(config=config, seed=seed), folder / name)
    description = {
        "arguments": ["train"],
        "directory": str(folder),
        "started": "2026-01-01T00:00:00+00:00",
        "settings": {"steps": 10, "data": "tiny", "batch_size": 4},
    }
    (folder / "run.json").write_text(json.dumps(description))
    (folder / "metrics.jsonl").write_text(json.dumps({"step": step, "val": {"miou": miou}}) + "\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    save_model(small_model(), tmp_path / "own" / "weights")
    return tmp_path / "own" / "weights"


def photo_file(folder: Path) -> str:
    noise_image(90, 60).save(folder / "noise.png")
    return str(folder / "noise.png")


def test_the_list_names_own_weights_shipped_ones_and_finished_runs(tmp_path: Path, own: Path) -> None:
    write_run(tmp_path / "runs" / "camvid-2")
    write_run(tmp_path / "runs" / "half-way", step=5)
    choices = ModelRegistry(own, runs=tmp_path / "runs").choices()
    assert [choice.label for choice in choices] == ["own/weights", *shipped_weights(), "camvid-2 (run, mIoU 71.2)"]
    assert choices[-1].weights == tmp_path / "runs" / "camvid-2" / "best"
    assert str(tmp_path) not in str([choice.key + choice.label for choice in choices]), "visitors see no server paths"


def test_shipped_weights_that_are_chosen_first_are_listed_once(tmp_path: Path) -> None:
    registry = ModelRegistry("everyday", runs=tmp_path)
    assert [choice.key for choice in registry.choices()].count(registry.initial) == 1


@pytest.mark.parametrize("sent", ["weights", "/etc", "run:../own/weights", "own/weights", "", None, 3, ["own"]])
def test_only_what_was_listed_is_opened(tmp_path: Path, own: Path, sent: object) -> None:
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    for value in (sent, str(own)):
        with refused("unknown-choice", "model", repr(str(value)[:80])):
            registry.open(value)


def test_a_model_is_loaded_once_also_for_many_at_once(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    load = Predictor.from_weights

    def counted(weights: Path, **options: object) -> Predictor:
        loads.append(weights)
        return load(weights, **options)

    monkeypatch.setattr(Predictor, "from_weights", counted)
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(registry.open, ["own"] * 8))
    assert len(loads) == 1
    assert all(predictor is opened[0] for predictor in opened)


class HeldLoads:
    """Loads of one folder that do not go on until they are let go."""

    def __init__(self, held: Path) -> None:
        self.held = held
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.started: list[Path] = []
        self.failures: list[UserError] = []
        """Raised by the next loads of the folder, one each, once they are let go."""

    def load(self, weights: Path, **options: object) -> Predictor:
        self.started.append(weights)
        if weights == self.held:
            self.begun.set()
            assert self.let_go.wait(60)
            if self.failures:
                raise self.failures.pop()
        return LOAD(weights, **options)


LOAD = SteadyPredictor.from_weights


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldLoads]:
    """Of the run `slow`."""
    write_run(tmp_path / "runs" / "slow")
    held = HeldLoads(tmp_path / "runs" / "slow" / "best")
    monkeypatch.setattr(SteadyPredictor, "from_weights", held.load)
    yield held
    held.let_go.set()


def test_while_a_model_loads_others_are_opened_and_the_list_is_read(
    own: Path, tmp_path: Path, loads: HeldLoads
) -> None:
    write_run(tmp_path / "runs" / "other")
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    known = registry.open("own")
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(registry.open, "run:slow")
        assert loads.begun.wait(60)
        # In a thread, so that a registry that waits makes the test fail, not hang.
        meanwhile = threads.submit(
            lambda: (registry.open("own"), registry.open("run:other"), registry.choices(), registry.folder("run:slow"))
        )
        done, _ = wait_for([meanwhile], timeout=60)
        still_loading = not slow.done()
        loads.let_go.set()
        assert done, "nothing waits for a load but who asked for that model"
        assert still_loading
        opened, other, choices, folder = meanwhile.result()
        assert opened is known
        assert other is registry.open("run:other")
        assert "run:slow" in [choice.key for choice in choices]
        assert folder == tmp_path / "runs" / "slow" / "best"
        assert registry.open("run:slow") is slow.result()


def test_two_who_ask_for_the_same_model_get_one_load(
    own: Path, tmp_path: Path, loads: HeldLoads, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, find = threading.Semaphore(0), ModelRegistry._find

    def found(registry: ModelRegistry, key: object) -> ModelChoice:
        choice = find(registry, key)
        asked.release()
        return choice

    monkeypatch.setattr(ModelRegistry, "_find", found)
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(registry.open, "run:slow")
        assert loads.begun.wait(60)
        second = threads.submit(registry.open, "run:slow")
        for _ in range(2):  # both are past the list, so that the second one asks during the first one's load
            assert asked.acquire(timeout=60)
        loads.let_go.set()
        assert first.result(60) is second.result(60)
    assert loads.started == [loads.held]


def test_a_load_that_fails_is_tried_again_by_the_next_to_ask(own: Path, tmp_path: Path, loads: HeldLoads) -> None:
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    loads.failures.append(UserError("disk-full", "Expected room, got none; make some."))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(registry.open, "run:slow")
        assert loads.begun.wait(60)
        second = threads.submit(registry.open, "run:slow")
        loads.let_go.set()
        outcomes = {type(one.exception(60)) for one in (first, second)}
    assert outcomes == {UserError, type(None)}, "who waited tries for themselves"
    assert registry.open("run:slow") in [one.result() for one in (first, second) if one.exception() is None]
    assert loads.started == [loads.held] * 2


def test_few_models_stay_in_memory_and_changed_files_are_loaded_anew(own: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_run(tmp_path / "runs" / f"r{number}")
    registry = ModelRegistry(own, runs=tmp_path / "runs", max_loaded=2)
    first = registry.open("own")
    assert registry.open("run:r0") is not first
    assert registry.open("own") is first
    registry.open("run:r1")
    assert registry.open("own") is first, "r0 was used longer ago"
    registry.open("run:r1")
    registry.open("run:r2")
    again = registry.open("own")
    assert again is not first, "three models, two places"

    save_model(small_model(seed=1), own)
    for path in own.iterdir():
        os.utime(path, (1, 1))
    assert registry.open("own") is not again


def test_a_choice_segments_every_photo_again_and_the_stages_follow(own: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "two", config=SHALLOW)
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    session = new_session(registry)
    for _ in range(2):
        session = add_photo(session, photo_file(tmp_path), predictor=registry.open(session.model))

    chosen = choose_model(session, "run:two", registry=registry)
    assert [photo.name for photo in chosen.photos] == ["noise", "noise"]
    assert chosen.model == "run:two"
    assert chosen.stage_names == ("ece", "stage2", "stage1", "final")
    assert all(tuple(photo.prediction.stages) == chosen.stage_names for photo in chosen.photos)

    selection = Selection(stage="stage4")
    radio = segment.render_controls(chosen, selection, "stage4")[0]
    assert radio.value == "final", "the shallow model has no stage 4"
    assert [value for _, value in radio.choices] == list(chosen.stage_names)
    assert "stage4" not in segment.render(chosen, selection, 0.6)
    assert chosen.stage(replace(selection, stage="stage1")) == "stage1", "the choice stays"


def test_a_choice_that_fails_leaves_the_session_and_becomes_a_toast(own: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "broken")
    (tmp_path / "runs" / "broken" / "best" / "model.safetensors").write_bytes(b"no tensors")
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    before = new_session(registry).with_photo(Photo("p", make_prediction(np.zeros((2, 2), dtype=np.uint8))))
    with gr.Blocks():
        picker = model_picker.build(gr.State(Session()), gr.State(Selection()), registry=registry)
    with toasted("file-damaged", "safetensors"):
        show_errors(choose_model)(before, "run:broken", registry=registry)
    assert before.photos[0].prediction.class_names != CLASS_NAMES
    assert before.model == "own"
    assert picker.render(before).value == "own", "the picker goes back to what the photos were segmented by"


def test_damaged_weights_are_told_without_where_they_lie(own: Path, tmp_path: Path) -> None:
    registry = ModelRegistry(own, runs=tmp_path / "runs")
    (own / "model.safetensors").unlink()
    with refused("file-missing", "model.safetensors") as caught:
        registry.open(registry.initial)
    assert str(own) not in str(caught.value)
