"""The two models of this package, which answer alike; whoever needs only one of them asks for it here."""

from typing import Any

from ecenet.common.errors import UserError
from ecenet.model.config import ModelConfig, SegViTConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.segvit import SegViT

Network = ECENet | SegViT
"""What a predictor runs: `backbone`, `forward_head`, stages, class names and how images are normalised."""


def build_network(config: ModelConfig | SegViTConfig, **about: Any) -> Network:
    """A new model with random head weights; `about` are the keyword arguments of `ECENet`."""
    return SegViT(config, **about) if isinstance(config, SegViTConfig) else ECENet(config, **about)


def as_ecenet(model: Network) -> ECENet:
    """The same model, for what only ECENet can do: make a class of a painted region.

    Raises:
        UserError: it is a SegViT.
    """
    if isinstance(model, SegViT):
        raise UserError(
            "unsupported-by-weights",
            "Expected weights of an ECENet to paint classes for, got SegViT's, which names its own classes only; "
            "choose other weights.",
        )
    return model
