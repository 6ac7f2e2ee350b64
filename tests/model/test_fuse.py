"""A model made ready for inference answers as before, whatever its backbone; what cannot be is left as it is."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model, save_model, weights_hash
from ecenet.model.config import ModelConfig
from ecenet.model.fuse import NORMS, fold_batch_norms, make_ready
from tests.support.helpers import PLAIN, SWITCHES, noise_image, small_model


@torch.no_grad()
def draw_statistics(network: nn.Module) -> nn.Module:
    """Batch norms as training leaves them, not as the ones that change nothing."""
    torch.manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.2)
    return network.eval()


def count_norms(network: nn.Module) -> int:
    return sum(type(module) in NORMS for module in network.modules())


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("mobilenetv2_100", "all"),
        ("resnet18", "all"),
        ("efficientnet_b0", "all"),
        ("densenet121", "some"),  # most of its norms come before convolutions
        ("mobilevit_xxs", "none"),  # it reshapes as the image's size wants it
        ("convnext_atto", "none"),
    ],
)
def test_folding_batch_norms_changes_no_feature(name: str, folded: str) -> None:
    network = draw_statistics(timm.create_model(name, features_only=True))
    images = torch.randn(2, 3, 64, 96)
    norms = count_norms(network)
    with torch.no_grad():
        before = network(images)
        count = fold_batch_norms(network)
        after = network(images)
    assert {"all": count == norms > 0, "some": 0 < count < norms, "none": count == 0}[folded]
    assert count_norms(network) == norms - count
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4 * float(one.abs().max()))


class Net(nn.Module):
    """One convolution and its norm, which subclasses join in ways that cannot be folded."""

    def __init__(self, conv: type[nn.Conv2d] = nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images))


class ReadTwice(Net):
    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        return self.norm(features) + features


class ConvolvedTwice(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(self.conv(images)))


class NormedTwice(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.norm(self.conv(images)))


class BentBetween(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images).relu())


class Dependent(Net):
    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        return self.norm(features) if features.mean() > 0 else features


class Standardised(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) / self.weight.std()


@pytest.mark.parametrize(
    "network",
    [ReadTwice(), ConvolvedTwice(), NormedTwice(), BentBetween(), Dependent(), Net(Standardised)],
    ids=lambda network: type(network).__name__,
)
def test_a_norm_that_is_not_all_that_follows_a_plain_convolution_stays(network: nn.Module) -> None:
    draw_statistics(network)
    images = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        before = network(images)
        assert fold_batch_norms(network) == 0
        assert torch.equal(network(images), before)


def test_the_plain_case_is_folded() -> None:
    network = draw_statistics(Net())
    images = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        before = network(images)
        assert fold_batch_norms(network) == 1
        torch.testing.assert_close(network(images), before)


@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        ModelConfig(backbone="vit_tiny_patch16_224", out_indices=(3, 11), output_stride=None, embed_dim=16),
        replace(PLAIN, **SWITCHES[-1]),
    ],
    ids=["cnn", "vit", "switches"],
)
def test_matrices_in_bf16_give_the_same_bits_as_autocast(config: ModelConfig) -> None:
    model = small_model(config=config)
    draw_statistics(model.backbone)
    ready = copy.deepcopy(model)
    make_ready(ready, half=True)
    assert count_norms(ready) == count_norms(model)
    kinds = {type(m): m.weight.dtype for m in ready.modules() if isinstance(getattr(m, "weight", None), Tensor)}
    assert kinds[nn.Linear] == kinds[nn.Conv2d] == torch.bfloat16
    assert kinds[nn.LayerNorm] == torch.float32
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        images = torch.randn(1, 3, 64, 96)
        assert torch.equal(model(images).logits, ready(images).logits)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = small_model(config=PLAIN)
    draw_statistics(model.backbone)
    save_model(model, tmp_path / "weights")
    return tmp_path / "weights"


def test_opened_weights_are_ready_and_known_by_what_was_opened(folder: Path) -> None:
    opened, plain = Predictor.from_weights(folder, device="cpu", half=False), load_model(folder)
    assert count_norms(opened.model) == 0 < count_norms(plain)
    assert opened.weights_hash == weights_hash(plain) == Predictor(plain, device="cpu").weights_hash
    image = noise_image(97, 61)
    ours, theirs = opened.predict(image), Predictor(plain, device="cpu", half=False).predict(image)
    for name, stage in ours.stages.items():
        np.testing.assert_allclose(stage.mask_logits, theirs.stages[name].mask_logits, atol=1e-4)


@pytest.mark.parametrize("ready", [False, True])
def test_a_model_that_was_ready_for_bf16_still_runs_where_there_is_none(folder: Path, ready: bool) -> None:
    """As a GPU's does on a CPU that is asked when the GPU is full, or has no room for the model."""
    half = Predictor.from_weights(folder, device="cpu", half=True)
    image = noise_image(97, 61)
    expected = half.predict(image).final.mask_logits
    single = Predictor(copy.deepcopy(half.model), device="cpu", half=False, optimised=ready)
    assert {parameter.dtype for parameter in single.model.parameters()} == {torch.float32}
    found = single.predict(image).final.mask_logits
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
