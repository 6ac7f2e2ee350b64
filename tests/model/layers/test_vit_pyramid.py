"""ECENet on a plain ViT: stages of a pyramid, position embeddings for the working size, weights from a file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file

from ecenet.model.backbone import build_backbone, load_backbone_file
from ecenet.model.config import ModelConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.layers.vit_pyramid import ViTPyramid
from tests.support.helpers import small_model
from tests.support.refusals import refused

VIT = ModelConfig(
    backbone="vit_tiny_patch16_224",
    out_indices=(0, 1, 2),
    output_stride=None,
    position_side=64,
    vit_strides=(4, 8, 16),
    embed_dim=16,
)


def vit_model(vit_strides: tuple[int, ...] = (4, 8, 16)) -> ECENet:
    return small_model(config=replace(VIT, vit_strides=vit_strides))


def test_each_stage_has_the_stride_that_was_asked_for() -> None:
    output = vit_model()(torch.randn(2, 3, 32, 48))
    assert {name: tuple(stage.mask_logits.shape[-2:]) for name, stage in output.stages.items()} == {
        "ece": (2, 3),
        "stage3": (2, 3),
        "stage2": (4, 6),
        "stage1": (8, 12),
        "final": (8, 12),
    }


def test_a_stride_of_32_asks_for_images_of_such_multiples() -> None:
    model = vit_model(vit_strides=(8, 16, 32))
    assert model.backbone.size_divisor == 32
    with refused("invalid-value", "32", "32×48"):
        model(torch.randn(1, 3, 32, 48))


def test_the_pyramid_learns_at_the_rate_of_the_head() -> None:
    model = vit_model()
    assert isinstance(model.pyramid, ViTPyramid)
    inner = {id(parameter) for parameter in model.backbone.parameters()}
    assert not inner & {id(parameter) for parameter in model.pyramid.parameters()}


def test_a_network_that_has_stages_itself_is_refused() -> None:
    with refused("unsuitable-backbone", "mobilenetv2_035", "vit_strides"):
        small_model(config=ModelConfig(backbone="mobilenetv2_035", out_indices=(3, 4), vit_strides=(8, 16)))


def test_strides_must_fit_the_indices() -> None:
    for strides in ((4, 8), (8, 4, 16), (4, 8, 12)):
        with refused("invalid-config", "vit_strides", str(strides)):
            vit_model(vit_strides=strides)


def test_position_embeddings_of_a_file_are_interpolated_to_the_working_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1)
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    options: dict[str, Any] = {"output_stride": None, "same_padding": False, "pretrained": False}
    same, larger = (
        build_backbone(name="vit_tiny_patch16_224", out_indices=(0,), position_side=side, **options).network
        for side in (32, 64)
    )
    for network in (same, larger):
        load_backbone_file(network, tmp_path / "vit.safetensors")
    positions = source.state_dict()["pos_embed"]
    torch.testing.assert_close(same.state_dict()["model.pos_embed"], positions)
    resized = larger.state_dict()["model.pos_embed"]
    assert resized.shape == (1, 1 + 4 * 4, positions.shape[2])
    torch.testing.assert_close(resized[:, :1], positions[:, :1])  # the class token's stays
    torch.testing.assert_close(resized[:, 1:].mean(dim=1), positions[:, 1:].mean(dim=1), atol=5e-3, rtol=0)
