"""Networks to compare the speed of ECENet with, with random weights, each with its bare backbone.

Decoders are from `segmentation_models_pytorch` (SMP) and `transformers`, with these libraries' default sizes. The
backbones for SegFormer and Mask2Former in place of ViTs, and the conversion of Mask2Former's masks to class scores, are
our choices.
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
"""Networks of SMP and transformers are named after their library; segvit-updater is SegViT with the explicit embeddings
and updater of our ECENet."""


@dataclass(frozen=True)
class Setting:
    """A backbone, the sizes for the comparison, and the counterparts of networks with their own backbone."""

    model: ModelConfig
    """ECENet on the backbone."""
    segvit: SegViTConfig | None
    """SegViT on the backbone; None if it is not a plain ViT."""
    size: tuple[int, int]
    """(H, W) of images in pixels."""
    classes: int
    mix_transformer: Literal["b0", "b2", "b5"]
    """Backbone of SegFormer with the most similar number of parameters."""
    swin: Literal["tiny", "base", "large"] | None
    """Backbone of Mask2Former with the most similar number of parameters; None uses the backbone itself (pyramids)."""

    @property
    def plain(self) -> bool:
        """Whether it is a plain ViT: one grid of stride 16 instead of a pyramid."""
        return self.model.backbone.startswith("vit_")

    @property
    def pyramid_stride(self) -> int:
        """Stride of the deepest stage, for decoders that use the unmodified backbone."""
        return 16 if self.plain else 32


@dataclass(frozen=True)
class Peer:
    """A network in evaluation mode, and its bare backbone."""

    network: nn.Module
    backbone: nn.Module

    def scores(self, images: Tensor) -> Tensor:
        """(B, K, h, w) class scores of (B, 3, H, W) images, see `class_scores`."""
        return class_scores(self.network(images))


def backbone_setting(name: BackboneName) -> Setting:
    """The setting of a backbone. Sizes are those of the comparison in `docs/accuracy.md` and of SegViT on ADE20K."""
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
    """ECENet as in the recipes for plain ViTs, and SegViT with a head half as wide as the ViT, as by its authors."""
    width = PLAIN_VIT_OPTIONS["embed_dim"]
    assert isinstance(width, int)
    ours = ModelConfig(backbone=backbone, out_indices=layers, output_stride=None, embed_dim=width)
    return ours, SegViTConfig(backbone=backbone, out_indices=layers, embed_dim=32 * heads, num_heads=heads)


def checked_candidates(names: tuple[str, ...]) -> list[Candidate]:
    """The candidates with these names; all candidates if `names` is empty.

    Raises:
        UserError: a name is unknown.
    """
    known = get_args(Candidate)
    for name in names:
        if name not in known:
            raise UserError(
                "unknown-choice", f"Expected candidates among {', '.join(known)}, got {name!r}; choose from these."
            )
    return [name for name in known if not names or name in names]


def reason_against(name: Candidate, setting: Setting) -> str | None:
    """Why the network is not available on this backbone; None if it is."""
    match name:
        case "smp-deeplabv3plus" | "smp-fpn" | "smp-upernet" | "smp-segformer" if setting.plain:
            return "SMP's decoder needs a pyramid of strides 2 or 4 to 32; a plain ViT has a single grid"
        case "segvit" | "segvit-updater" if setting.segvit is None:
            return "SegViT needs the single grid of a plain ViT; this backbone is a pyramid"
        case "smp-dpt" if not setting.plain:
            return "DPT needs the single grid of a plain ViT; this backbone is a pyramid"
        case _:
            return None


def stands_on(name: Candidate, setting: Setting) -> str:
    """Name of the bare backbone; equal names mean identical computation."""
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
    """Build a network with random weights on the CPU.

    Raises:
        UserError: the network's library is not installed.
    """
    assert reason_against(name, setting) is None, "the network is available"
    network: Any
    match name:
        case "ecenet":
            network = random_model(setting.model, classes=classes)
            return _peer(network, network.backbone)
        case "segvit" | "segvit-updater":
            assert setting.segvit is not None, "excluded by reason_against"
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
            # Without the auxiliary head, which is only used in training. A plain ViT has no neck before UPerNet: all
            # stages have the same grid, as in MMSegmentation's `vit_deit-*_upernet` settings without "mln".
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
    """(B, K, h, w) class scores from the output of any network, on its output grid.

    The scores are logits. Only for Mask2Former they are the sum of the queries' masks weighted by class, as in its
    paper; this step counts as part of the network, because all others include it.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, ECENetOutput) or hasattr(output, "logits"):
        scores = output.logits
        assert isinstance(scores, Tensor)
        return scores
    classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]  # the last class is "no object"
    return torch.einsum("bqk,bqhw->bkhw", classes, output.masks_queries_logits.sigmoid())


def _peer(network: nn.Module, backbone: nn.Module) -> Peer:
    """Set evaluation mode and the memory format of the app's predictor."""
    network.eval().to(memory_format=torch.channels_last)
    return Peer(network, backbone)


def _timm_options(setting: Setting) -> dict[str, Any]:
    """Options for timm to create the same backbone as in ECENet."""
    if setting.plain:
        return {"dynamic_img_size": True}
    return {"pad_type": "same"} if setting.model.same_padding else {}


def _wrapped_config(setting: Setting) -> Any:
    """Config of transformers' timm wrapper: the stages from stride 4, or four evenly spaced layers of a ViT."""
    indices: tuple[int, ...] = (1, 2, 3, 4)
    if setting.plain:
        blocks = setting.model.out_indices[-1] + 1
        indices = tuple(blocks * part // 4 - 1 for part in (1, 2, 3, 4))
    return library("transformers").TimmBackboneConfig(backbone=setting.model.backbone, out_indices=list(indices))


def _wrapped_backbone(setting: Setting) -> nn.Module:
    """The backbone with timm's options, which the config does not support; it replaces the one made from the config."""
    backbone = library("transformers").TimmBackbone(_wrapped_config(setting), **_timm_options(setting))
    assert isinstance(backbone, nn.Module)
    return backbone


def _mix_transformer(size: Literal["b0", "b2", "b5"]) -> Mapping[str, Any]:
    """Sizes of SegFormer, from its paper."""
    wide = {"hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768}
    match size:
        case "b0":
            return {"depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 256}
        case "b2":
            return {"depths": [3, 4, 6, 3], **wide}
        case "b5":
            return {"depths": [3, 6, 40, 3], **wide}


def _swin(size: Literal["tiny", "base", "large"]) -> Mapping[str, Any]:
    """Sizes of Swin, with the window sizes of the Mask2Former paper."""
    match size:
        case "tiny":
            return {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7}
        case "base":
            return {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12}
        case "large":
            return {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12}
