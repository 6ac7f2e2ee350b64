"""Learned vectors help explicit class embeddings through the first steps of training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import small_model, tiny_training, write_folder

from ecenet.config import ModelConfig, TrainConfig
from ecenet.model.ecenet import ECENet
from ecenet.optimizer import make_optimizer, set_learning_rates
from ecenet.stand_in import StandIn, make_stand_in
from ecenet.train import train
from ecenet.weights import load_model


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return tiny_training(write_folder(tmp_path / "data", images=2), tmp_path / "run", steps=4, fade_steps=2)


def test_vectors_fade_to_nothing() -> None:
    stand_in = StandIn(num_classes=3, embed_dim=4, steps=4)
    shares = [stand_in(step) for step in range(6)]
    assert shares[4:] == [None, None]
    for vectors, share in zip(shares[:4], (1.0, 0.75, 0.5, 0.25), strict=True):
        assert vectors is not None
        torch.testing.assert_close(vectors, share * stand_in.vectors)


@torch.inference_mode()
def test_they_are_added_to_what_ece_makes(tiny_model: ECENet, images: torch.Tensor) -> None:
    vectors = torch.randn(4, 16)
    plain, helped = tiny_model(images).stages["ece"], tiny_model(images, vectors).stages["ece"]
    torch.testing.assert_close(helped.embeddings_after, plain.embeddings_after + vectors)
    assert torch.equal(helped.mask_logits, plain.mask_logits)


def test_only_explicit_embeddings_that_are_new_are_helped(config: TrainConfig) -> None:
    model = small_model()
    assert make_stand_in(config, model)(0) is not None
    assert make_stand_in(replace(config, fade_steps=0), model)(0) is None
    assert make_stand_in(replace(config, start_from="voc13"), model)(0) is None
    learned = small_model(config=ModelConfig(embed_dim=16, embeddings="learned"))
    assert make_stand_in(config, learned)(0) is None


def test_they_learn_as_long_as_they_help(tiny_model: ECENet, images: torch.Tensor) -> None:
    stand_in = StandIn(num_classes=4, embed_dim=16, steps=1)
    optimizer = make_optimizer(
        tiny_model, tiny_model.backbone, stand_in=stand_in, lr=0.1, backbone_lr=0.1, weight_decay=0.1
    )
    set_learning_rates(optimizer, 1.0)
    history = [stand_in.vectors.clone()]
    for step in range(2):
        tiny_model(images, stand_in(step)).logits.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        history.append(stand_in.vectors.clone())
    assert not torch.equal(history[0], history[1])
    assert torch.equal(history[1], history[2])


def test_a_checkpoint_keeps_them_and_no_weights_hold_them(config: TrainConfig) -> None:
    train(config)
    stored = torch.load(config.out / "last.pt", weights_only=True)
    assert stored["stand_in"]["vectors"].shape == (3, 8)
    assert load_model(str(config.out / "model")).state_dict().keys() == stored["model"].keys()
    assert not [name for name in stored["model"] if "vectors" in name]
