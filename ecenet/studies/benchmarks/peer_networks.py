"""The networks that ECENet is timed beside, with random weights, each with the bare backbone that it stands on.

Decoders of `segmentation_models_pytorch` (SMP) and `transformers`, which only this and `compare` need, with the sizes
that those libraries give them; what a backbone is for SegFormer and Mask2Former on ViTs, and how Mask2Former's masks
become class scores, is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.model.config import ModelConfig, SegViTConfig
from ecenet.model.outputs import ECENetOutput
from ecenet.studies.benchmarks.options import BackboneName
from ecenet.studies.benchmarks.single import random_model
from ecenet.studies.benchmarks.smp import SMPDecoder, build_smp, library
from ecenet.training.presets import LAYERS, PLAIN_VIT_OPTIONS

Candidate = Literal[
    "ecenet",
    "segvit",
    "segvit-updater",
    "smp-deeplabv3plus",
    "smp-fpn",
    "smp-upernet",
    "smp-segformer",
    "smp-dpt",
    "transformers-upernet",
    "transformers-segformer",
    "transformers-mask2former",
]
"""SMP's and transformers' networks are named after their library; segvit-updater has the explicit embeddings and the
updater of our ECENet."""


@dataclass(frozen=True)
class Setting:
    """A backbone, what it is compared at, and what stands for it in networks that bring a backbone of their own."""

    model: ModelConfig
    """ECENet on it."""
    segvit: SegViTConfig | None
    """SegViT on it, where it is a plain ViT."""
    size: tuple[int, int]
    """(H, W) in pixels."""
    classes: int
    mix_transformer: Literal["b0", "b2", "b5"]
    """SegFormer's: the nearest in parameters."""
    swin: Literal["tiny", "base", "large"] | None
    """Mask2Former's where the backbone has no pyramid: the nearest in parameters. None takes the backbone itself."""

    @property
    def plain(self) -> bool:
        """A plain ViT: one grid of stride 16 instead of a pyramid."""
        return self.model.backbone.startswith("vit_")

    @property
    def pyramid_stride(self) -> int:
        """Of the deepest stage for decoders that want the backbone as it is."""
        return 16 if self.plain else 32


@dataclass(frozen=True)
class Peer:
    """A network, in evaluation mode, and the part of it that is its bare backbone."""

    network: nn.Module
    backbone: nn.Module

    def scores(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, K, h, w), as `class_scores` has it."""
        return class_scores(self.network(images))


def backbone_setting(name: BackboneName) -> Setting:
    """The sizes are those of the comparison in `docs/accuracy.md` and of SegViT's settings on ADE20K."""
    match name:
        case "mobilenetv2":
            return Setting(ModelConfig(), None, size=(352, 480), classes=11, mix_transformer="b0", swin=None)
        case "vit-small":
            models = _plain_models("vit_small_patch16_384", LAYERS["base"], heads=6)
            return Setting(*models, size=(512, 512), classes=150, mix_transformer="b2", swin="tiny")
        case "vit-base":
            models = _plain_models("vit_base_patch16_384", LAYERS["base"], heads=12)
            return Setting(*models, size=(512, 512), classes=150, mix_transformer="b5", swin="base")
        case "vit-large":
            models = _plain_models("vit_large_patch16_384", LAYERS["large"], heads=16)
            return Setting(*models, size=(640, 640), classes=150, mix_transformer="b5", swin="large")


def _plain_models(backbone: str, layers: tuple[int, ...], *, heads: int) -> tuple[ModelConfig, SegViTConfig]:
    """ECENet as the recipes on plain ViTs have it; SegViT's head is half as wide as its ViT, which is that
    of its authors. Each of a ViT's heads is 64 wide.
    """
    width = PLAIN_VIT_OPTIONS["embed_dim"]
    assert isinstance(width, int)
    ours = ModelConfig(backbone=backbone, out_indices=layers, output_stride=None, embed_dim=width)
    return ours, SegViTConfig(backbone=backbone, out_indices=layers, embed_dim=32 * heads, num_heads=heads)


def checked_candidates(names: tuple[str, ...]) -> list[Candidate]:
    """The candidates of these names; all where there are none.

    Raises:
        UserError: there is none of a name.
    """
    known = get_args(Candidate)
    for name in names:
        if name not in known:
            raise UserError(
                "unknown-choice", f"Expected candidates among {', '.join(known)}, got {name!r}; choose from these."
            )
    return [name for name in known if not names or name in names]


def reason_against(name: Candidate, setting: Setting) -> str | None:
    """Why there is no such network on this backbone; None where there is."""
    match name:
        case "smp-deeplabv3plus" | "smp-fpn" | "smp-upernet" | "smp-segformer" if setting.plain:
            return "SMP has its decoder on pyramids of strides 2 or 4 to 32; a plain ViT has one grid"
        case "segvit" | "segvit-updater" if setting.segvit is None:
            return "SegViT attends to a plain ViT's one grid; this backbone is a pyramid"
        case "smp-dpt" if not setting.plain:
            return "DPT makes a pyramid of a plain ViT's one grid; this backbone is a pyramid itself"
        case _:
            return None


def stands_on(name: Candidate, setting: Setting) -> str:
    """Name of the bare backbone: networks of the same name compute the same."""
    backbone = setting.model.backbone
    match name:
        case "ecenet" | "smp-dpt":
            return f"{backbone} at stride {setting.model.output_stride or setting.pyramid_stride}"
        case "segvit" | "segvit-updater":
            return f"{backbone} without class token"
        case "smp-deeplabv3plus":
            return f"{backbone} at stride 16"
        case "transformers-segformer":
            return f"MiT-{setting.mix_transformer.upper()}"
        case "transformers-mask2former" if setting.swin is not None:
            return f"Swin-{setting.swin[0].upper()}"
        case _:
            return f"{backbone} at stride {setting.pyramid_stride}"


def build_peer(name: Candidate, setting: Setting, *, classes: int) -> Peer:
    """A network with random weights, on the CPU.

    Raises:
        UserError: the library that has it is not installed.
    """
    assert reason_against(name, setting) is None, "there is such a network"
    network: Any
    match name:
        case "ecenet":
            network = random_model(setting.model, classes=classes)
            return _peer(network, network.backbone)
        case "segvit" | "segvit-updater":
            assert setting.segvit is not None, "there is a reason against it"
            explicit: dict[str, Any] = {"embeddings": "explicit", "updater": "gated"}
            config = replace(setting.segvit, **explicit) if name == "segvit-updater" else setting.segvit
            network = random_model(config, classes=classes)
            return _peer(network, network.backbone)
        case "smp-deeplabv3plus" | "smp-fpn" | "smp-upernet" | "smp-segformer" | "smp-dpt":
            network = build_smp(
                cast(SMPDecoder, name.removeprefix("smp-")),
                backbone=setting.model.backbone,
                classes=classes,
                pretrained=False,
                timm_options=_timm_options(setting),
            )
            return _peer(network, network.encoder)
        case "transformers-upernet":
            hf = library("transformers")
            # The auxiliary head serves training alone. Between a plain ViT and UPerNet there is no neck: all of its
            # stages have the ViT's one grid, as in MMSegmentation's `vit_deit-*_upernet` settings without "mln".
            config = hf.UperNetConfig(
                backbone_config=_wrapped_config(setting), num_labels=classes, use_auxiliary_head=False
            )
            network = hf.UperNetForSemanticSegmentation(config)
            network.backbone = _wrapped_backbone(setting)
            return _peer(network, network.backbone)
        case "transformers-segformer":
            hf = library("transformers")
            config = hf.SegformerConfig(num_labels=classes, **_mix_transformer(setting.mix_transformer))
            network = hf.SegformerForSemanticSegmentation(config)
            return _peer(network, network.segformer)
        case "transformers-mask2former" if setting.swin is None:
            hf = library("transformers")
            network = hf.Mask2FormerForUniversalSegmentation(
                hf.Mask2FormerConfig(backbone_config=_wrapped_config(setting), num_labels=classes)
            )
            network.model.pixel_level_module.encoder = _wrapped_backbone(setting)
            return _peer(network, network.model.pixel_level_module.encoder)
        case "transformers-mask2former":
            hf = library("transformers")
            swin = hf.SwinConfig(**_swin(setting.swin), out_features=["stage1", "stage2", "stage3", "stage4"])
            network = hf.Mask2FormerForUniversalSegmentation(
                hf.Mask2FormerConfig(backbone_config=swin, num_labels=classes)
            )
            return _peer(network, network.model.pixel_level_module.encoder)


def class_scores(output: Any) -> Tensor:
    """(B, K, h, w) of what any of the networks answers, on the grid that it answers on.

    Logits, but for Mask2Former, whose queries' masks are summed up by what class they are (as its paper does for
    semantic segmentation); that sum is ours to count as a part of it, since no other network is without it.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, ECENetOutput) or hasattr(output, "logits"):
        scores = output.logits
        assert isinstance(scores, Tensor)
        return scores
    classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]  # the last one is "no object"
    return torch.einsum("bqk,bqhw->bkhw", classes, output.masks_queries_logits.sigmoid())


def _peer(network: nn.Module, backbone: nn.Module) -> Peer:
    """What all of them are given alike: evaluation mode, and memory as the app's predictor has it."""
    network.eval().to(memory_format=torch.channels_last)
    return Peer(network, backbone)


def _timm_options(setting: Setting) -> dict[str, Any]:
    """What timm must be told so that the backbone is the one that ECENet has."""
    if setting.plain:
        return {"dynamic_img_size": True}
    return {"pad_type": "same"} if setting.model.same_padding else {}


def _wrapped_config(setting: Setting) -> Any:
    """Of transformers' wrapper around timm: the pyramid's stages from stride 4 on, or four of a ViT, evenly spread."""
    indices: tuple[int, ...] = (1, 2, 3, 4)
    if setting.plain:
        blocks = setting.model.out_indices[-1] + 1
        indices = tuple(blocks * part // 4 - 1 for part in (1, 2, 3, 4))
    return library("transformers").TimmBackboneConfig(backbone=setting.model.backbone, out_indices=list(indices))


def _wrapped_backbone(setting: Setting) -> nn.Module:
    """The config has no place for timm's options, so the backbone that a network makes of it is replaced."""
    backbone = library("transformers").TimmBackbone(_wrapped_config(setting), **_timm_options(setting))
    assert isinstance(backbone, nn.Module)
    return backbone


def _mix_transformer(size: Literal["b0", "b2", "b5"]) -> Mapping[str, Any]:
    """SegFormer's sizes, from its paper."""
    wide = {"hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768}
    match size:
        case "b0":
            return {"depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 256}
        case "b2":
            return {"depths": [3, 4, 6, 3], **wide}
        case "b5":
            return {"depths": [3, 6, 40, 3], **wide}


def _swin(size: Literal["tiny", "base", "large"]) -> Mapping[str, Any]:
    """Swin's sizes, with the windows that Mask2Former's paper has for them."""
    match size:
        case "tiny":
            return {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7}
        case "base":
            return {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12}
        case "large":
            return {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12}
