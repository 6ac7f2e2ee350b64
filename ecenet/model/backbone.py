"""timm backbones behind one contract: images in, a list of (B, C, h, w) features out, shallow to deep."""

import difflib

import timm
import torch
from torch import Tensor, nn

from ecenet.errors import UserError


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

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised images → one (B, C, H/stride, W/stride) tensor a stage."""
        features = self.network(images)
        # Swin and its kin answer channels-last.
        return [
            f if f.shape[1] == channels else f.permute(0, 3, 1, 2)
            for f, channels in zip(features, self.channels, strict=True)
        ]


def build_backbone(
    *,
    name: str,
    out_indices: tuple[int, ...],
    output_stride: int | None,
    same_padding: bool,
    pretrained: bool,
) -> Backbone:
    """Build a timm backbone that takes images of varying size.

    Raises:
        UserError: the name is unknown to timm, or the network lacks the stages or the stride asked for.
    """
    architecture = name.split(".")[0].removeprefix("hf-hub:")
    if not name.startswith("hf-hub:") and not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models()."
        raise UserError(f"Expected the name of a timm model as backbone, got {name!r}; {hint}")

    options: dict[str, object] = {}
    if output_stride is not None:
        options["output_stride"] = output_stride
    if same_padding and architecture.startswith(("mobilenetv2", "mobilenetv3", "efficientnet", "tf_")):
        options["pad_type"] = "same"
    try:
        network = _create_any_size(name, pretrained=pretrained, out_indices=out_indices, **options)
    except (IndexError, AssertionError, TypeError, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"Expected {name} to give features {out_indices} at output stride {output_stride}, "
            f"but timm answered: {error}; choose other out_indices, or output_stride null."
        ) from error
    return Backbone(
        network, channels=list(network.feature_info.channels()), strides=list(network.feature_info.reduction())
    )


def _create_any_size(name: str, **options: object) -> nn.Module:
    """timm's features_only network, told (where it must be told) that image sizes vary."""
    # Plain ViTs interpolate their position embedding on request; Swin only drops its size check;
    # CNNs know neither argument.
    for flexible in ({"dynamic_img_size": True}, {"strict_img_size": False}, {}):
        try:
            return timm.create_model(name, features_only=True, **options, **flexible)
        except TypeError as error:
            if not flexible or not any(key in str(error) for key in flexible):
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def load_backbone_file(backbone: Backbone, path: str) -> None:
    """Load a safetensors file into the backbone; classifier layers that it has beyond the features are left out.

    Raises:
        UserError: tensors that the backbone needs are missing or have other shapes.
    """
    from safetensors.torch import load_file

    loaded = load_file(path)
    wanted = backbone.network.state_dict()
    missing = [key for key in wanted if key not in loaded]
    misfits = [key for key in wanted if key in loaded and loaded[key].shape != wanted[key].shape]
    if missing or misfits:
        example = (missing + misfits)[0]
        raise UserError(
            f"Expected {path} to hold all {len(wanted)} tensors of the backbone, but {len(missing)} are missing and "
            f"{len(misfits)} have another shape (first: {example}); give the weights of the same timm model."
        )
    with torch.no_grad():
        backbone.network.load_state_dict({key: loaded[key] for key in wanted})
