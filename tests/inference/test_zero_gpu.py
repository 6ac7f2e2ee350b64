"""A GPU that is lent for a call: what goes there and what comes back; `test_spaces.py` has the whole app do it."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch

from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, predict_scenario
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.session import add_photo, new_session
from ecenet.inference import zero_gpu
from ecenet.inference.oom_fallback import SteadyPredictor
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.helpers import encode, noise_image, small_model
from tests.support.refusals import refused

Calls = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """With the stand-in for Hugging Face's package: what it was called for."""
    log = tmp_path / "calls.jsonl"
    log.touch()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setenv("SPACES_STUB_LOG", str(log))
    # Both are changed by the stand-in; like this, they are as they were after the test.
    monkeypatch.setattr(torch._C, "_cuda_init", torch._C._cuda_init)
    monkeypatch.setattr(gr.Blocks, "launch", gr.Blocks.launch)
    spec = importlib.util.spec_from_file_location(
        "spaces", Path(__file__).parents[1] / "support" / "zero_gpu" / "spaces.py"
    )
    assert spec is not None
    assert spec.loader is not None
    stand_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_in)
    monkeypatch.setattr(zero_gpu, "GPU", stand_in.GPU)
    monkeypatch.setattr(zero_gpu, "_predict", stand_in.GPU(zero_gpu._predict_lent, duration=zero_gpu.SECONDS))
    monkeypatch.setattr(zero_gpu, "_lent", {})
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def registry(calls: Calls, tmp_path: Path) -> ModelRegistry:
    save_model(small_model(), tmp_path / "own")
    return ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")


def test_a_photo_is_one_call_that_returns_all_stages(registry: ModelRegistry, calls: Calls, tmp_path: Path) -> None:
    photo = noise_image(97, 61)
    photo.save(tmp_path / "photo.png")
    predictor = registry.open(registry.initial)
    predictor.warm_up()
    assert not calls(), "before anybody is there the processor will do"
    session = add_photo(new_session(registry), str(tmp_path / "photo.png"), predictor=predictor)
    (call,) = calls()
    assert call["given"] < 97 * 61 * 3 + 1000, "the photo and a name"
    prediction = session.photos[0].prediction
    expected = Predictor.from_weights(tmp_path / "own").predict(photo)
    assert list(prediction.stages) == list(expected.stages)
    for name, stage in expected.stages.items():
        assert np.array_equal(prediction.stages[name].label_map, stage.label_map), name
    assert all(tensor.device.type == "cpu" for tensor in prediction.features.tensors)


def test_what_reruns_the_head_makes_no_call(registry: ModelRegistry, calls: Calls) -> None:
    predictor = registry.open(registry.initial)
    prediction = predictor.predict(noise_image(97, 61))
    after = predict_scenario(predictor, prediction, Scenario(knock_outs=KnockOuts(gate=0.0)))
    assert after.features is prediction.features
    assert len(calls()) == 1


def test_features_that_this_processor_cannot_read_are_widened(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's backbone writes bf16, which the head of a processor without it has no kernels for."""
    predictor = registry.open(registry.initial)
    monkeypatch.setattr(predictor, "half", False)
    predictor.model.float()
    monkeypatch.setattr(zero_gpu._open_lent(str(registry.folder(registry.initial))), "half", True)
    prediction = predictor.predict(noise_image(97, 61))
    assert {tensor.dtype for tensor in prediction.features.tensors} == {torch.float32}
    predictor.predict_features(prediction.features)


def test_models_that_were_opened_after_a_call_are_found_in_the_next(registry: ModelRegistry, calls: Calls) -> None:
    registry.open(registry.initial)
    zero_gpu._lent.clear()  # as it is in a process that was forked before
    registry.open(registry.initial).predict(noise_image(97, 61))
    assert len(calls()) == 1


def test_what_is_no_photo_costs_no_call(registry: ModelRegistry, calls: Calls) -> None:
    with refused("wrong-file", "image"):
        registry.open(registry.initial).predict(b"no picture")
    with refused("image-too-small", "8×8", "4×4"):
        registry.open(registry.initial).predict(encode(noise_image(4, 4), "PNG"))
    assert not calls()


def test_without_gpus_to_lend_a_predictor_is_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a Space's free tier, which has the package, but no such GPU."""
    save_model(small_model(), tmp_path / "own")
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    for decorator in (None, lambda task, **options: task):
        monkeypatch.setattr(zero_gpu, "GPU", decorator)
        assert type(zero_gpu.open_predictor(tmp_path / "own")) is SteadyPredictor
