"""The nested settings as flat dictionaries, as in the command line, `run.json`, `last.pt` and a model's recipe."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ecenet.training.config import TrainConfig

LATER_SEGVIT: dict[str, object] = {"drop_path": 0.0, "position_antialias": True}
"""Settings of SegViT that were added later, with the values of older runs."""
LATER_SETTINGS: dict[str, object] = {
    **LATER_SEGVIT,
    "architecture": "ecenet",
    "jaccard_weight": 0.0,
    "contrast_weight": 0.0,
    "class_sampling": 0.5,
    "loss": "ecenet",
    "mask_weight": 5.0,
    "dice_weight": 2.0,
    "label_stride": 1,
    "position_side": None,
    "vit_strides": [],
    "attention": "plain",
    "gate_bias": 0.0,
    "candidate": "own",
}
"""All settings that were added later, including those of SegViT, with the values of older runs."""


def options(config: TrainConfig) -> dict[str, Any]:
    """Return all settings by option name, with `_` for `-`: `{"data": …, "lr": 1e-3, …, "segvit.embed_dim": 384}`."""
    prefixed = {f"release.{name}": value for name, value in _values(config.release).items()}
    prefixed |= {f"segvit.{name}": value for name, value in _values(config.segvit).items()}
    return _training_options(config) | _values(config.model) | prefixed


def recipe_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the training settings of a model as JSON values for its `config.json`, without local paths and without the
    architecture, which the model's configuration contains."""
    settings = _training_options(config)
    settings |= {
        "warmup_steps": config.warmup_steps,
        "frozen_steps": config.frozen_steps,
    }  # resolved values instead of None
    for name in ("data", "out", "architecture"):
        settings.pop(name)
    start = config.start
    settings["backbone_weights"] = start.backbone_weights.name if start.backbone_weights else None
    if start.start_from is not None and Path(start.start_from).is_dir():
        settings["start_from"] = Path(start.start_from).name
    return _jsonable(settings)


def lasting_settings(config: TrainConfig, *, class_names: list[str]) -> dict[str, Any]:
    """Return the settings that must not change when a run is resumed, as JSON values. Only the name of the data folder
    is included, so that it can be moved."""
    settings = recipe_settings(config) | _jsonable(_values(config.network))
    settings |= {
        "architecture": config.architecture,
        "data": config.data.folder.resolve().name,
        "class_names": class_names,
    }
    for free in ("workers", "save_every", "validate_every", "tensorboard"):
        settings.pop(free)
    return settings


def _training_options(config: TrainConfig) -> dict[str, Any]:
    """Return the settings other than those of the network."""
    ungrouped = {name: value for name, value in _values(config).items() if not is_dataclass(value)}
    groups = _values(config.data) | _values(config.start) | _values(config.optimizer) | _values(config.loss)
    return {"data": groups.pop("folder"), "loss": groups.pop("terms"), **ungrouped, **groups}


def _values(group: Any) -> dict[str, Any]:
    return {field.name: getattr(group, field.name) for field in fields(group)}


def _jsonable(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
