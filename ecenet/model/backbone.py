"""timm backbones behind one contract: images in, a list of (B, C, h, w) features out, shallow to deep."""

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
        # Swin and its kin answer channels-last. Shapes would not tell: 96 channels may meet 96 rows.
        self.channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised images → one (B, C, H/stride, W/stride) tensor a stage."""
        features = self.network(images)
        return [f.permute(0, 3, 1, 2) for f in features] if self.channels_last else features

    def check_size(self, images: Tensor) -> None:
        """Refuse images whose height or width is no multiple of `size_divisor`, by a `UserError`."""
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
    """Build a timm backbone that takes images of varying size.

    Args:
        position_side: side in pixels of the square images that a ViT's position embeddings are for, if not the one
            that the name says.
        drop_path: stochastic depth in training; 0 for networks that have none.
    Raises:
        UserError: the name is unknown to timm, or the network lacks the stages or the stride asked for.
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
            f"Expected a backbone that takes images of any size, got {name}, which takes only one; "
            "choose another, such as a plain vit_ model.",
        )
    return Backbone(
        network, channels=list(network.feature_info.channels()), strides=list(network.feature_info.reduction())
    )


def _create_any_size(name: str, **options: Any) -> nn.Module:
    """timm's features_only network, told (where it must be told) that image sizes vary."""
    # Plain ViTs interpolate their position embedding on request; Swin only drops its size check;
    # CNNs know neither argument.
    attempts: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
    for flexible in attempts:
        try:
            return timm.create_model(name, features_only=True, **options, **flexible)
        except TypeError as error:
            if not flexible or not any(key in str(error) for key in flexible):
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


class UnsmoothedViT(VisionTransformer):
    """timm's plain ViT without a class token, whose position embeddings are interpolated bicubically without
    antialiasing, as in mmsegmentation: where a grid is smaller than theirs, timm smooths them first."""

    def _pos_embed(self, x: Tensor) -> Tensor:
        """(B, h, w, C) patches and their positions: (B, h·w, C)."""
        assert self.pos_embed is not None, "checked when it was built"
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
    """Build a plain ViT without its class token, whose features all have one grid, as SegViT's backbone does.

    Args:
        position_side: side in pixels of the square images that have one position embedding for each patch; for images
            of other sizes they are interpolated.
        drop_path: as for `build_backbone`.
        antialias: smooth them where the grid is smaller than theirs, as timm does.
    Raises:
        UserError: as for `build_backbone`; the network is no plain ViT, or the side is no multiple of its patches'.
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
        # Without the token, and without the position embedding that was its own.
        first = 0 if vit.no_embed_class else 1
        vit.pos_embed = nn.Parameter(vit.pos_embed[:, first:].detach().clone())
        vit.cls_token, vit.num_prefix_tokens = None, 0
    if not antialias:
        # timm builds the network itself and has no option for that; only this method differs.
        vit.__class__ = UnsmoothedViT
    return backbone


def _no_plain_vit(name: str) -> UserError:
    return UserError(
        "unsuitable-backbone",
        f"Expected a plain ViT with position embeddings and no registers as SegViT's backbone, got {name}; "
        "choose another, such as vit_base_patch16_384.",
    )


def _explained(error: Exception, *, name: str, out_indices: tuple[int, ...], output_stride: int | None) -> UserError:
    """What timm's error means for the one who wrote the config."""
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
            f"set it to null (--output-stride None), with out_indices among 0 … {_last_index(name)}.",
        )
    if isinstance(error, IndexError) or "feature index" in str(error):
        return UserError(
            "unsuitable-backbone",
            f"Expected out_indices among 0 … {_last_index(name)}, which {name} has, got {out_indices}; "
            "choose from that range.",
        )
    if isinstance(error, OSError):
        return UserError(
            "download-failed",
            f"Expected to download the pretrained weights of {name}, but the Hugging Face Hub does not answer; "
            "check the network, or give the weights as a file.",
        )
    answer = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        "unsuitable-backbone",
        f"Expected {name} to give features {out_indices} at output stride {output_stride}, "
        f"but timm answered: {answer}; choose another backbone, or out_indices and output_stride that it has.",
    )


def _last_index(name: str) -> int:
    with torch.device("meta"):
        network: Any = timm.create_model(name, features_only=True)
    return len(network.feature_info) - 1


def check_channels(channels: list[int], *, name: str) -> None:
    """Refuse stages that the authors' release's Feature Reconstruction cannot halve twice, by a `UserError`."""
    if any(width % 4 for width in channels):
        raise UserError(
            "unsuitable-backbone",
            f"Expected a backbone whose channels are multiples of 4, got {name} with {', '.join(map(str, channels))}; "
            "choose another.",
        )


def load_backbone_file(network: nn.Module, path: Path | str) -> None:
    """Load safetensors into timm's network of a backbone: a file of timm's, or a checkpoint of this package that has
    such a backbone, its file or its folder. What is there beyond the features is left out, the class token of a ViT
    that is built without one among it; position embeddings of a plain ViT that are for images of another size are
    interpolated.

    Raises:
        UserError: the file cannot be read, or tensors that the backbone needs are missing or have other shapes.
    """
    files = tensor_files(Path(path)) if Path(path).is_dir() else [Path(path)]
    inner: Any = getattr(network, "model", network)  # timm wraps a ViT whose features it gathers
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
    """(1, tokens + n², C) position embeddings → the last (1, n², C), those of the patches: a class token's comes
    first."""
    return positions[:, positions.shape[1] - isqrt(positions.shape[1]) ** 2 :]


def timm_normalisation(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of RGB values in 0 … 1 that timm's weights of that name were trained with."""
    pretrained = timm.get_pretrained_cfg(name.removeprefix("hf-hub:"), allow_unregistered=True)
    if pretrained is None:
        return [0.5] * 3, [0.5] * 3
    return list(pretrained.mean), list(pretrained.std)
