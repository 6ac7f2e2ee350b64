"""A registry of small weights, and a session with two photos."""

from pathlib import Path

import pytest

from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.session import Session, add_photo, new_session
from ecenet.inference.weights import save_model
from tests.support.helpers import noise_image, small_model


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    save_model(small_model(seed=1), tmp_path / "own")
    return ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")


@pytest.fixture
def session(registry: ModelRegistry, tmp_path: Path) -> Session:
    session = new_session(registry)
    for seed in (0, 5):
        noise_image(64, 48, seed=seed).save(tmp_path / f"photo{seed}.png")
        session = add_photo(session, str(tmp_path / f"photo{seed}.png"), predictor=registry.open(session.model))
    return session
