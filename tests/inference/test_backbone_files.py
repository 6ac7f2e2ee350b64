"""Backbones from files: timm's, or a checkpoint of this package."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from ecenet.inference.weights import save_model
from ecenet.model.backbone import load_backbone_file
from ecenet.model.ecenet import ECENet
from tests.support.refusals import refused

MakeModel = Callable[..., ECENet]


def test_backbone_file_may_hold_more_but_not_less(make_model: MakeModel, tmp_path: Path) -> None:
    source, target = make_model().backbone.network, make_model().backbone.network
    with torch.no_grad():
        source.get_parameter("conv_stem.weight").fill_(0.25)
    tensors = {**source.state_dict(), "classifier.weight": torch.zeros(3, 3)}
    path = tmp_path / "backbone.safetensors"
    save_file(tensors, path)
    load_backbone_file(target, path)
    assert target.get_parameter("conv_stem.weight").eq(0.25).all()

    del tensors["conv_stem.weight"]
    save_file(tensors, path)
    with refused("tensor-mismatch", path, 1, "conv_stem.weight"):
        load_backbone_file(target, path)
    with refused("file-damaged", tmp_path / "nothing.safetensors"):
        load_backbone_file(target, tmp_path / "nothing.safetensors")


def test_backbone_may_come_from_a_checkpoint(make_model: MakeModel, tmp_path: Path) -> None:
    trained, other = make_model(), make_model(embed_dim=32).backbone.network
    with torch.no_grad():
        trained.get_parameter("backbone.network.conv_stem.weight").fill_(0.25)
    save_model(trained, tmp_path)
    load_backbone_file(other, tmp_path / "model.safetensors")
    assert other.get_parameter("conv_stem.weight").eq(0.25).all()
