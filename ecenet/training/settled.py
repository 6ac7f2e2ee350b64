"""What a training leaves open, filled in: the model's options from the weights that it starts from, and schedules from
the run that it goes on with. What was changed is said in lines for a terminal."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.inference.weights import weights_options
from ecenet.model.config import Architecture, ModelConfig, NetworkConfig, ReleaseConfig
from ecenet.training.config import LONGEST_REST, LONGEST_WARMUP, TrainConfig

GROUPS: dict[Architecture, str] = {"ecenet": "model", "ecenet-release": "release", "segvit": "segvit"}
"""Of each architecture, the field of `TrainConfig` with its options."""
REGULARISERS = ("dropout", "drop_path")
"""Options of a model that belong to how it is trained."""


def settled(config: TrainConfig) -> TrainConfig:
    """The same settings with nothing left open.

    Raises:
        UserError: there are no weights of that name to start from, or options were given that are not theirs.
    """
    if config.start.start_from is not None:
        config = with_options_of(config, weights_options(config.start.start_from))
    schedules: dict[str, Any] = _begun_schedules(config)
    return replace(config, optimizer=replace(config.optimizer, **schedules))


def _begun_schedules(config: TrainConfig) -> dict[str, int]:
    """Warm-up and rest as the run in `out` began, where they are left open: more `--steps` do not change them."""
    try:
        stored = json.loads((config.out / "run.json").read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        stored = {}
    open_ones = {"warmup_steps": config.warmup_steps, "frozen_steps": config.frozen_steps}
    return {
        name: int(stored.get(name, automatic))
        for name, automatic in open_ones.items()
        if getattr(config.optimizer, name) is None
    }


def with_options_of(config: TrainConfig, options: NetworkConfig) -> TrainConfig:
    """Build the model as the weights to start from were built; what regularises a training stays the caller's.

    Raises:
        UserError: an option that was given, that is, one that is not at its default, differs from the weights' own.
    """
    architecture = _architecture(options)
    if config.architecture not in ("ecenet", architecture):
        raise UserError(
            "conflicting-options",
            f"Expected --architecture {architecture}, which {config.start.start_from} has, got {config.architecture}; "
            "leave it out, or start from other weights.",
        )
    group = GROUPS[architecture]
    given, usual = getattr(config, group), type(options)()
    own: dict[str, Any] = {name: getattr(given, name) for name in REGULARISERS if hasattr(given, name)}
    for field in fields(options):
        value, theirs = getattr(given, field.name), getattr(options, field.name)
        if field.name not in own and value not in (theirs, getattr(usual, field.name)) and list_of(value) != theirs:
            flag = f"--{'' if group == 'model' else group + '.'}{field.name.replace('_', '-')}"
            raise UserError(
                "conflicting-options",
                f"Expected the model's options of {config.start.start_from} to start from it, got {flag} {value} "
                f"where it has {theirs}; leave {flag} out, or start from other weights.",
            )
    changes: dict[str, Any] = {group: replace(options, **own), "architecture": architecture}
    return replace(config, **changes)


def list_of(value: Any) -> Any:
    """Tuples as JSON has them."""
    return list(value) if isinstance(value, tuple) else value


def _architecture(options: NetworkConfig) -> Architecture:
    if isinstance(options, ModelConfig):
        return "ecenet"
    return "ecenet-release" if isinstance(options, ReleaseConfig) else "segvit"


def notes(config: TrainConfig) -> list[str]:
    """What the settings do that nobody asked for, one line each; none for a long run from pretrained weights."""
    lines = []
    short = config.warmup_steps < LONGEST_WARMUP or config.frozen_steps < LONGEST_REST
    if config.start.start_from is not None:
        network, name = config.network, Path(config.start.start_from).name
        lines.append(f"The model is built as {name}: {network.backbone}, embed_dim {network.embed_dim}.")
    if config.random_backbone:
        lines.append(
            "The backbone begins with random weights, so it learns from the first step, its batch norms too. "
            f"Pretrained ones learn far more in as many steps: --start-from {DEFAULT_WEIGHTS} needs no download."
        )
        if config.frozen_steps or config.optimizer.frozen_stages:
            lines[-1] = (
                "The backbone begins with random weights, and --frozen-steps or --frozen-stages keep it from learning; "
                "leave them out."
            )
    elif short and config.optimizer.warmup_steps is None and config.optimizer.frozen_steps is None:
        lines.append(
            f"Over {config.steps} steps the learning rate rises for {config.warmup_steps}, and the backbone rests for "
            f"{config.frozen_steps} (--warmup-steps and --frozen-steps choose others)."
        )
    return lines
