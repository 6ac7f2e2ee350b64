"""A tiny model with random weights, and images for it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.model.ecenet import ECENet
from ecenet.training.config import ModelConfig
from tests.support.helpers import noise_image, small_model
from tests.support.web.browsing import address, asked, browser, page, runs  # noqa: F401
from tests.support.web.serving import api  # noqa: F401
from tests.support.web.visitors import visitor  # noqa: F401

# On tensors this small threads mostly wait for each other, on a busy machine for long.
torch.set_num_threads(1)

TINY = ModelConfig(embed_dim=16)
CLASS_NAMES = ["sky", "grass", "road", "car"]
CLASS_COLORS = [[70, 130, 180], [107, 142, 35], [128, 64, 128], [0, 0, 142]]


@pytest.fixture(scope="session")
def make_model() -> Callable[..., ECENet]:
    """Makes tiny models in evaluation mode; arguments are fields of `ModelConfig`. Equal calls give equal weights."""

    def make(**overrides: Any) -> ECENet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = ECENet(
                replace(TINY, **overrides),
                class_names=CLASS_NAMES,
                class_colors=CLASS_COLORS,
                image_mean=[0.5, 0.5, 0.5],
                image_std=[0.25, 0.25, 0.25],
                image_size=96,
                recipe={"data": "none", "steps": 0},
            )
        return model.eval()

    return make


@pytest.fixture(scope="session")
def umap() -> Iterator[UmapWorker]:
    worker = UmapWorker()
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    """Of a small model with random weights, in fp32; modules that need another define their own."""
    return Predictor(small_model(), device="cpu", half=False)


@pytest.fixture(scope="session")
def prediction(predictor: Predictor) -> Prediction:
    return predictor.predict(noise_image(97, 61))


@pytest.fixture
def tiny_model(make_model: Callable[..., ECENet]) -> ECENet:
    return make_model()


@pytest.fixture
def images() -> Tensor:
    """(2, 3, 64, 96): two different, normalised images."""
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def kept(tiny_model: ECENet, images: Tensor) -> list[Tensor]:
    """Backbone features of `images`; the grids are 16×24, 8×12, 4×6 and 4×6, shallow to deep."""
    with torch.no_grad():
        return tiny_model.backbone(images)
