"""The three models of this package, which answer alike; whoever needs only one of them asks for it here."""

from typing import Any

from ecenet.common.errors import UserError
from ecenet.model.config import NetworkConfig, ReleaseConfig, SegViTConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.release import ECENetRelease
from ecenet.model.segvit import SegViT

Network = ECENet | ECENetRelease | SegViT
"""What a predictor runs: `backbone`, `forward_head`, stages, class names and how images are normalised."""


def build_network(config: NetworkConfig, **about: Any) -> Network:
    """A new model with random head weights; `about` are the keyword arguments of `ECENet`."""
    if isinstance(config, SegViTConfig):
        return SegViT(config, **about)
    return ECENetRelease(config, **about) if isinstance(config, ReleaseConfig) else ECENet(config, **about)


def as_ecenet(model: Network) -> ECENet:
    """The same model, for what only our ECENet can do: make a class of a painted region.

    Raises:
        UserError: it is another, or its embeddings hold no features.
    """
    if not isinstance(model, ECENet) or not model.parts.new_classes:
        raise UserError(
            "unsupported-by-weights",
            f"Expected weights of an ECENet to paint classes for, got {model.parts.closed}; choose other weights.",
        )
    return model
