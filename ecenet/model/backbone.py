"""timm backbones with a common interface: images in, a list of (B, C, h, w) features out, shallow to deep."""

import difflib
from math import isqrt
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.model.tensor_files import fitting_tensors, read_safetensors, tensor_files


class Backbone(nn.Module):
    """A timm `features_only` network.

    Attributes:
        channels: C of each stage, shallow to deep.
        strides: image pixels per feature cell of each stage.
        size_divisor: image height and width must be multiples of this.
    """

    def __init__(self, network: nn.Module, *, channels: list[int], strides: list[int]) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.strides = strides
        self.size_divisor = max(strides)
        # Swin and similar networks return channels last, which shapes alone do not show (96 channels and 96 rows).
        self.channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute a (B, C, H/stride, W/stride) tensor for each stage from (B, 3, H, W) normalised images."""
        features = self.network(images)
        return [f.permute(0, 3, 1, 2) for f in features] if self.channels_last else features

    def check_size(self, images: Tensor) -> None:
        """Check that height and width are multiples of `size_divisor`.

        Raises:
            UserError: they are not.
        """
        divisor = self.size_divisor
        height, width = images.shape[-2:]
        if height % divisor or width % divisor:
            raise UserError(
                "invalid-value",
                f"Expected image height and width to be multiples of {divisor}, got {height}×{width}; "
                f"resize to {-(-height // divisor) * divisor}×{-(-width // divisor) * divisor}.",
            )


def build_backbone(
    *,
    name: str,
    out_indices: tuple[int, ...],
    output_stride: int | None,
    same_padding: bool,
    pretrained: bool,
    position_side: int | None = None,
    drop_path: float = 0.0,
) -> Backbone:
    """Build a timm backbone for images of varying size.

    Args:
        position_side: side in pixels of the square images that a ViT's position embeddings are for; by default that in
            the name.
        drop_path: stochastic depth in training; 0 for networks without it.
    Raises:
        UserError: timm does not know the name, or the network does not have the requested stages or stride.
    """
    architecture = name.removeprefix("hf-hub:").split("/")[-1].split(".")[0]
    if not name.startswith("hf-hub:") and not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models()."
        raise UserError("unsuitable-backbone", f"Expected the name of a timm model as backbone, got {name!r}; {hint}")

    options: dict[str, Any] = {}
    if output_stride is not None:
        options["output_stride"] = output_stride
    if position_side is not None:
        options["img_size"] = position_side
    if drop_path:
        options["drop_path_rate"] = drop_path
    if same_padding and architecture.startswith(("mobilenetv2", "mobilenetv3", "efficientnet", "tf_")):
        options["pad_type"] = "same"
    try:
        network: Any = _create_any_size(name, pretrained=pretrained, out_indices=out_indices, **options)
    except (IndexError, AssertionError, TypeError, NotImplementedError, RuntimeError, OSError) as error:
        raise _explained(error, name=name, out_indices=out_indices, output_stride=output_stride) from error
    if any(getattr(module, "strict_img_size", False) for module in network.modules()):
        raise UserError(
            "unsuitable-backbone",
            f"Expected a backbone for images of any size, got {name}, which accepts one size only; "
            "choose another backbone, such as a plain vit_ model.",
        )
    return Backbone(
        network, channels=list(network.feature_info.channels()), strides=list(network.feature_info.reduction())
    )


def _create_any_size(name: str, **options: Any) -> nn.Module:
    """Create timm's features_only network for varying image sizes."""
    # Plain ViTs interpolate their position embeddings with one option, Swin drops its size check with another, and CNNs
    # have neither.
    attempts: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
    for flexible in attempts:
        try:
            return timm.create_model(name, features_only=True, **options, **flexible)
        except TypeError as error:
            if not flexible or not any(key in str(error) for key in flexible):
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


class UnsmoothedViT(VisionTransformer):
    """timm's plain ViT without class token, with bicubic interpolation of position embeddings without antialiasing, as
    in mmsegmentation. timm antialiases them for smaller grids."""

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Add position embeddings to patches, (B, h, w, C) → (B, h·w, C)."""
        assert self.pos_embed is not None, "checked when it is built"
        positions = self.pos_embed.unflatten(1, self.patch_embed.grid_size).permute(0, 3, 1, 2)
        grid = x.shape[1:3]
        if positions.shape[-2:] != grid:
            positions = F.interpolate(positions, size=tuple(grid), mode="bicubic", align_corners=False)
        return self.pos_drop((x + positions.permute(0, 2, 3, 1)).flatten(1, 2))


def build_plain_vit(
    *,
    name: str,
    out_indices: tuple[int, ...],
    position_side: int,
    pretrained: bool,
    drop_path: float = 0.0,
    antialias: bool = True,
) -> Backbone:
    """Build a plain ViT without class token, whose features have a single grid, as SegViT's backbone.

    Args:
        position_side: side in pixels of the square images that the position embeddings are for; they are interpolated
            for other sizes.
        drop_path: see `build_backbone`.
        antialias: antialias position embeddings for smaller grids, as in timm.
    Raises:
        UserError: see `build_backbone`; or the network is not a plain ViT, or the side is not a multiple of its patch
            size.
    """
    backbone = build_backbone(
        name=name,
        out_indices=out_indices,
        output_stride=None,
        same_padding=False,
        pretrained=pretrained,
        position_side=position_side,
        drop_path=drop_path,
    )
    vit = getattr(backbone.network, "model", None)
    if not isinstance(vit, VisionTransformer) or vit.pos_embed is None or vit.reg_token is not None:
        raise _no_plain_vit(name)
    if position_side % backbone.size_divisor:
        raise UserError(
            "invalid-config",
            f"Expected position_side to be a multiple of {name}'s patches of {backbone.size_divisor} pixels, "
            f"got {position_side}; choose {-(-position_side // backbone.size_divisor) * backbone.size_divisor}.",
        )
    if vit.cls_token is not None:
        # Remove the token and its position embedding.
        first = 0 if vit.no_embed_class else 1
        vit.pos_embed = nn.Parameter(vit.pos_embed[:, first:].detach().clone())
        vit.cls_token, vit.num_prefix_tokens = None, 0
    if not antialias:
        # timm has no option for it, and only one method differs.
        vit.__class__ = UnsmoothedViT
    return backbone


def _no_plain_vit(name: str) -> UserError:
    return UserError(
        "unsuitable-backbone",
        f"Expected a plain ViT with position embeddings and no registers as SegViT's backbone, got {name}; "
        "choose another backbone, such as vit_base_patch16_384.",
    )


def _explained(error: Exception, *, name: str, out_indices: tuple[int, ...], output_stride: int | None) -> UserError:
    """Convert an error of timm to a `UserError` about the configuration."""
    if isinstance(error, TypeError) and "img_size" in str(error):
        return _no_plain_vit(name)
    if isinstance(error, TypeError) and "drop_path" in str(error):
        return UserError(
            "unsuitable-backbone", f"Expected drop_path 0 for {name}, which has no stochastic depth; set it to 0."
        )
    if isinstance(error, TypeError) and "output_stride" in str(error):
        return UserError(
            "unsuitable-backbone",
            f"Expected output_stride null for {name}, whose stride cannot be changed, got {output_stride}; "
            f"set it to null (--output-stride None), with out_indices in 0 … {_last_index(name)}.",
        )
    if isinstance(error, IndexError) or "feature index" in str(error):
        return UserError(
            "unsuitable-backbone",
            f"Expected out_indices in 0 … {_last_index(name)} for {name}, got {out_indices}; choose from that range.",
        )
    if isinstance(error, OSError):
        return UserError(
            "download-failed",
            f"Expected to download the pretrained weights of {name}, but the Hugging Face Hub cannot be reached; "
            "check the network, or give the weights as a file.",
        )
    answer = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        "unsuitable-backbone",
        f"Expected {name} to have features {out_indices} at output stride {output_stride}, "
        f"but timm reported: {answer}; choose another backbone, or other out_indices or output_stride.",
    )


def _last_index(name: str) -> int:
    with torch.device("meta"):
        network: Any = timm.create_model(name, features_only=True)
    return len(network.feature_info) - 1


def check_channels(channels: list[int], *, name: str) -> None:
    """Check that all channels are multiples of 4, as required by the Feature Reconstruction of the authors' release.

    Raises:
        UserError: they are not.
    """
    if any(width % 4 for width in channels):
        raise UserError(
            "unsuitable-backbone",
            f"Expected a backbone whose channels are multiples of 4, got {name} with {', '.join(map(str, channels))}; "
            "choose another backbone.",
        )


def load_backbone_file(network: nn.Module, path: Path | str) -> None:
    """Load a safetensors file into timm's network of a backbone: a file of timm, or a file or folder of a checkpoint of
    this package with the same backbone. Other tensors are ignored, such as the class token for a ViT without one.
    Position embeddings of a plain ViT are interpolated if they are for another image size.

    Raises:
        UserError: the file cannot be read, or tensors of the backbone are missing or have other shapes.
    """
    files = tensor_files(Path(path)) if Path(path).is_dir() else [Path(path)]
    inner: Any = getattr(network, "model", network)  # timm wraps ViTs for feature extraction
    loaded = {
        name.removeprefix("backbone.network.").removeprefix("model."): tensor
        for file in files
        for name, tensor in read_safetensors(file).items()
    }
    if isinstance(inner, VisionTransformer) and loaded.get("pos_embed") is not None:
        if inner.cls_token is None:
            loaded["pos_embed"] = _patch_positions(loaded["pos_embed"])
        prefix = 0 if inner.no_embed_class else inner.num_prefix_tokens
        loaded["pos_embed"] = resample_abs_pos_embed(
            loaded["pos_embed"], list(inner.patch_embed.grid_size), num_prefix_tokens=prefix
        )
    inner.load_state_dict(fitting_tensors(loaded, wanted=inner.state_dict(), place=str(path)))


def _patch_positions(positions: Tensor) -> Tensor:
    """Return the position embeddings of the patches, (1, n², C), without those of leading tokens, from
    (1, tokens + n², C)."""
    return positions[:, positions.shape[1] - isqrt(positions.shape[1]) ** 2 :]


def timm_normalisation(name: str) -> tuple[list[float], list[float]]:
    """Return the mean and standard deviation of RGB values in 0 … 1 of timm's pretrained weights."""
    pretrained = timm.get_pretrained_cfg(name.removeprefix("hf-hub:"), allow_unregistered=True)
    if pretrained is None:
        return [0.5] * 3, [0.5] * 3
    return list(pretrained.mean), list(pretrained.std)
