"""Decoders of `segmentation_models_pytorch` (SMP) with its default sizes; only used for comparisons."""

from importlib import import_module
from typing import Any, Literal

from ecenet.common.errors import UserError

SMPDecoder = Literal["deeplabv3plus", "fpn", "upernet", "segformer", "dpt"]


def build_smp(name: SMPDecoder, *, backbone: str, classes: int, pretrained: bool, timm_options: dict[str, Any]) -> Any:
    """Build a network whose `encoder` is a timm backbone; random weights, except for a `pretrained` backbone.

    Args:
        timm_options: options for timm to create the same backbone as in ECENet.
    Raises:
        UserError: SMP is not installed.
    """
    smp = library("segmentation_models_pytorch")
    options = {
        "encoder_name": f"tu-{backbone}",
        "encoder_weights": True if pretrained else None,
        "classes": classes,
        **timm_options,
    }
    match name:
        case "deeplabv3plus":
            return smp.DeepLabV3Plus(**options, encoder_output_stride=16)
        case "fpn":
            return smp.FPN(**options)
        case "upernet":
            return smp.UPerNet(**options)
        case "segformer":
            return smp.Segformer(**options)
        case "dpt":
            return smp.DPT(**options)


def library(package: str) -> Any:
    """Import a package.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(
            "package-missing",
            f"Expected {package} to build other networks, but it is not installed; "
            "run pip install -r requirements-dev.txt.",
        ) from error
