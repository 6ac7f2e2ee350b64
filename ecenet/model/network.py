"""The three networks of this package, which have the same interface."""

from typing import Any

from ecenet.common.errors import UserError
from ecenet.model.config import NetworkConfig, ReleaseConfig, SegViTConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.release import ECENetRelease
from ecenet.model.segvit import SegViT

Network = ECENet | ECENetRelease | SegViT
"""A network that a predictor can run, with `backbone`, `forward_head`, stages, class names and normalisation."""


def build_network(config: NetworkConfig, **about: Any) -> Network:
    """Create a model with random head weights; `about` are the keyword arguments of `ECENet`."""
    if isinstance(config, SegViTConfig):
        return SegViT(config, **about)
    return ECENetRelease(config, **about) if isinstance(config, ReleaseConfig) else ECENet(config, **about)


def as_ecenet(model: Network) -> ECENet:
    """Return the model as `ECENet`, which is required for painted classes.

    Raises:
        UserError: it is another network, or its embeddings are not computed from features.
    """
    if not isinstance(model, ECENet) or not model.parts.new_classes:
        raise UserError(
            "unsupported-by-weights",
            f"Expected weights of an ECENet to paint classes for, got {model.parts.closed}; choose other weights.",
        )
    return model
