"""Completion of settings that are not specified: the model's options from the weights that a training starts from, and
schedules from the run that it resumes."""

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
"""Field of `TrainConfig` with the options of each architecture."""
REGULARISERS = ("dropout", "drop_path")
"""Options of a model that concern its training only."""


def settled(config: TrainConfig) -> TrainConfig:
    """Return the settings with all open values filled in.

    Raises:
        UserError: the weights to start from do not exist, or the given options differ from theirs.
    """
    if config.start.start_from is not None:
        config = with_options_of(config, weights_options(config.start.start_from))
    schedules: dict[str, Any] = _begun_schedules(config)
    return replace(config, optimizer=replace(config.optimizer, **schedules))


def _begun_schedules(config: TrainConfig) -> dict[str, int]:
    """Return the warm-up and frozen steps that the run in `out` was started with, so that more `--steps` do not change
    them."""
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
    """Use the model options of the weights to start from, except for the regularisers, which are the caller's.

    Raises:
        UserError: a given option, that is, one with a value other than the default, differs from that of the weights.
    """
    architecture = _architecture(options)
    if config.architecture not in ("ecenet", architecture):
        raise UserError(
            "conflicting-options",
            f"Expected --architecture {architecture} as in {config.start.start_from}, got {config.architecture}; "
            "remove the option, or start from other weights.",
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
                f"Expected the model options of {config.start.start_from}, got {flag} {value} "
                f"instead of {theirs}; remove {flag}, or start from other weights.",
            )
    changes: dict[str, Any] = {group: replace(options, **own), "architecture": architecture}
    return replace(config, **changes)


def list_of(value: Any) -> Any:
    """Convert tuples to lists, as in JSON."""
    return list(value) if isinstance(value, tuple) else value


def _architecture(options: NetworkConfig) -> Architecture:
    if isinstance(options, ModelConfig):
        return "ecenet"
    return "ecenet-release" if isinstance(options, ReleaseConfig) else "segvit"


def notes(config: TrainConfig) -> list[str]:
    """Return notes on automatically chosen settings, one line each; none for a long run from pretrained weights."""
    lines = []
    short = config.warmup_steps < LONGEST_WARMUP or config.frozen_steps < LONGEST_REST
    if config.start.start_from is not None:
        network, name = config.network, Path(config.start.start_from).name
        lines.append(f"The model has the options of {name}: {network.backbone}, embed_dim {network.embed_dim}.")
    if config.random_backbone:
        lines.append(
            "The backbone has random weights and is trained from the first step, including its batch norms. "
            f"Pretrained weights give far better results: --start-from {DEFAULT_WEIGHTS} needs no download."
        )
        if config.frozen_steps or config.optimizer.frozen_stages:
            lines[-1] = (
                "The backbone has random weights, but --frozen-steps or --frozen-stages keep it from learning; "
                "remove these options."
            )
    elif short and config.optimizer.warmup_steps is None and config.optimizer.frozen_steps is None:
        lines.append(
            f"Of {config.steps} steps, {config.warmup_steps} are warm-up, and the backbone is frozen for the first "
            f"{config.frozen_steps} (to change, use --warmup-steps and --frozen-steps)."
        )
    return lines
