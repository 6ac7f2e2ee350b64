"""Every backbone family builds, takes images of many sizes, and says clearly what it cannot do."""

from typing import Any

import pytest
import torch
from huggingface_hub import constants
from torch import Tensor

from ecenet.model.backbone import Backbone, build_backbone, timm_normalisation
from ecenet.model.ecenet import ECENet
from ecenet.training.config import LossConfig
from ecenet.training.losses.segmentation import segmentation_losses
from tests.support.refusals import refused

FAMILIES: list[tuple[str, tuple[int, ...], int | None, list[int]]] = [
    ("mobilenetv2_100", (1, 2, 3, 4), 16, [4, 8, 16, 16]),
    ("mobilenetv2_100", (1, 2, 3, 4), None, [4, 8, 16, 32]),
    ("mobilenetv2_100", (1, 2), None, [4, 8]),
    ("resnet18", (1, 2, 3, 4), 8, [4, 8, 8, 8]),
    ("resnet50", (1, 2, 3, 4), 16, [4, 8, 16, 16]),
    ("convnext_tiny", (0, 1, 2, 3), None, [4, 8, 16, 32]),
    ("swin_tiny_patch4_window7_224", (0, 1, 2, 3), None, [4, 8, 16, 32]),
    ("vit_small_patch16_224", (3, 5, 8, 11), None, [16, 16, 16, 16]),
    ("vit_base_patch16_224", (3, 7, 11), None, [16, 16, 16]),
    ("vit_large_patch16_224", (7, 15, 23), None, [16, 16, 16]),
]
each_family = pytest.mark.parametrize(("name", "out_indices", "output_stride", "strides"), FAMILIES)


def backbone_of(name: str, out_indices: tuple[int, ...], output_stride: int | None, **options: Any) -> Backbone:
    chosen = {"same_padding": True, "pretrained": False, **options}
    return build_backbone(name=name, out_indices=out_indices, output_stride=output_stride, **chosen)


def expected_shapes(backbone: Backbone, height: int, width: int) -> list[tuple[int, ...]]:
    pairs = zip(backbone.channels, backbone.strides, strict=True)
    return [(1, channels, height // stride, width // stride) for channels, stride in pairs]


@each_family
def test_features_have_the_announced_channels_and_strides_at_any_size(
    name: str, out_indices: tuple[int, ...], output_stride: int | None, strides: list[int]
) -> None:
    """Shapes only, on the meta device: large networks cost nothing there."""
    with torch.device("meta"):
        backbone = backbone_of(name, out_indices, output_stride).eval()
    assert backbone.strides == strides
    assert backbone.size_divisor == max(strides)
    for rows, columns in ((1, 2), (3, 2), (12, 16), (5, 21)):
        height, width = rows * backbone.size_divisor, columns * backbone.size_divisor
        features = backbone(torch.empty(1, 3, height, width, device="meta"))
        assert [tuple(f.shape) for f in features] == expected_shapes(backbone, height, width)


@pytest.mark.parametrize(
    ("name", "out_indices"),
    [
        ("resnet18", (1, 2, 3, 4)),
        ("convnext_tiny", (0, 1, 2, 3)),
        ("swin_tiny_patch4_window7_224", (0, 1, 2, 3)),
        ("vit_small_patch16_224", (3, 5, 8, 11)),
    ],
)
def test_whole_model_trains_on_each_family_at_two_sizes(
    name: str, out_indices: tuple[int, ...], make_model: Any
) -> None:
    model: ECENet = make_model(backbone=name, out_indices=out_indices, output_stride=None)
    for height, width in ((64, 96), (96, 64)):
        with torch.no_grad():
            output = model(torch.randn(1, 3, height, width))
        finest = min(model.backbone.strides)
        assert output.logits.shape == (1, 4, height // finest, width // finest)
        assert output.logits.isfinite().all()
    labels = torch.randint(4, (2, 64, 64))
    losses = segmentation_losses(model.train()(torch.randn(2, 3, 64, 64)), labels, LossConfig())
    losses.total.backward()
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []


def test_vit_base_computes_finite_features() -> None:
    backbone = backbone_of("vit_base_patch16_224", (1, 2), None)
    with torch.no_grad():
        assert all(f.isfinite().all() for f in backbone(torch.randn(1, 3, 48, 80)))


def test_channels_last_features_are_turned_even_when_rows_are_as_many_as_channels() -> None:
    """Swin answers (B, h, w, C); at 384 pixels its first stage has 96 rows and 96 channels."""
    backbone = backbone_of("swin_tiny_patch4_window7_224", (0, 1), None).eval()
    image = torch.randn(1, 3, 384, 64)
    with torch.no_grad():
        features, raw = backbone(image), backbone.network(image)
    assert [tuple(f.shape) for f in features] == expected_shapes(backbone, 384, 64)
    for turned, given in zip(features, raw, strict=True):
        assert torch.equal(turned[0, :, 3, 5], given[0, 3, 5, :])


def test_same_padding_is_for_networks_that_know_it() -> None:
    def features(*, same_padding: bool) -> Tensor:
        torch.manual_seed(0)
        backbone = backbone_of("mobilenetv2_100", (1,), None, same_padding=same_padding).eval()
        with torch.no_grad():
            return backbone(torch.ones(1, 3, 32, 32))[0]

    assert not torch.equal(features(same_padding=True), features(same_padding=False))
    with torch.device("meta"):
        backbone_of("resnet18", (1,), None, same_padding=True)


@pytest.mark.parametrize(
    ("name", "out_indices", "output_stride", "named"),
    [
        ("mobilenetv2_10", (1,), None, ("'mobilenetv2_10'", "mobilenetv2_100")),
        ("zzzz", (1,), None, ("'zzzz'", "timm.list_models()")),
        ("mobilenetv2_100", (1, 5), 16, ("out_indices", "0 … 4", "(1, 5)")),
        ("convnext_tiny", (1, 4), None, ("out_indices", "0 … 3", "(1, 4)")),
        ("vit_small_patch16_224", (3, 12), None, ("out_indices", "0 … 11", "(3, 12)")),
        ("vit_small_patch16_224", (3, 11), 16, ("output_stride null", "vit_small_patch16_224", 16, "0 … 11")),
        (
            "swin_tiny_patch4_window7_224",
            (1, 2),
            16,
            ("output_stride null", "swin_tiny_patch4_window7_224", 16, "0 … 3"),
        ),
        ("resnet18", (1, 2), 12, ("resnet18", 12, "AssertionError")),
        ("mixer_s16_224", (1,), None, ("mixer_s16_224",)),
    ],
)
def test_what_a_backbone_cannot_do_is_said_in_one_sentence(
    name: str, out_indices: tuple[int, ...], output_stride: int | None, named: tuple[object, ...]
) -> None:
    with refused("unsuitable-backbone", *named) as caught, torch.device("meta"):
        backbone_of(name, out_indices, output_stride)
    assert "\n" not in str(caught.value)


def test_pretrained_weights_without_network_or_of_no_such_tag(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with refused("download-failed", "resnet18"):
        backbone_of("resnet18", (1,), None, pretrained=True)
    with refused("unsuitable-backbone", "resnet18.nope"):
        backbone_of("resnet18.nope", (1,), None, pretrained=True)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("mobilenetv2_100", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("vit_base_patch16_384.augreg_in21k_ft_in1k", [0.5] * 3, [0.5] * 3),
        ("hf-hub:someone/something", [0.5] * 3, [0.5] * 3),
    ],
)
def test_images_are_normalised_as_timms_weights_expect(name: str, mean: list[float], std: list[float]) -> None:
    assert timm_normalisation(name) == (mean, std)
