"""The three models of this package, which answer alike; whoever needs only one of them asks for it here."""

from dataclasses import asdict
from typing import Any

from ecenet.common.errors import UserError
from ecenet.model.config import Architecture, ModelConfig, ReleaseConfig, SegViTConfig
from ecenet.model.ecenet import ECENet, build_model
from ecenet.model.release import ECENetRelease
from ecenet.model.segvit import SegViT

Network = ECENet | ECENetRelease | SegViT
"""What a predictor runs: `backbone`, `forward_head`, stages, class names and how images are normalised."""


def build_network(config: ModelConfig | ReleaseConfig | SegViTConfig, **about: Any) -> Network:
    """A new model with random head weights; `about` as for `build_model`."""
    if isinstance(config, SegViTConfig):
        return SegViT(**asdict(config), **about)
    if isinstance(config, ReleaseConfig):
        return ECENetRelease(**asdict(config), **about)
    return build_model(config, **about)


def architecture_of(model: Network) -> Architecture:
    """What `config.json` calls it."""
    if isinstance(model, SegViT):
        return "segvit"
    return "ecenet-release" if isinstance(model, ECENetRelease) else "ecenet"


def as_ecenet(model: Network) -> ECENet:
    """The same model, for what only our ECENet can do: make a class of a painted region.

    Raises:
        UserError: it is another.
    """
    if not isinstance(model, ECENet):
        raise UserError(
            f"Expected weights of an ECENet to paint classes for, got {model.parts.closed}; choose other weights."
        )
    return model
