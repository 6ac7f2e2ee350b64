"""The nested settings as flat ones: what the command line, `run.json`, `last.pt` and a model's recipe name them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ecenet.training.config import TrainConfig

LATER_SEGVIT: dict[str, object] = {"drop_path": 0.0, "position_antialias": True}
"""SegViT's settings that came after the first runs, with what those had that began without them."""
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
"""All settings that did, SegViT's among them."""


def options(config: TrainConfig) -> dict[str, Any]:
    """Every setting by its option's name with `_` for `-`: `{"data": …, "lr": 1e-3, …, "segvit.embed_dim": 384}`."""
    prefixed = {f"release.{name}": value for name, value in _values(config.release).items()}
    prefixed |= {f"segvit.{name}": value for name, value in _values(config.segvit).items()}
    return _training_options(config) | _values(config.model) | prefixed


def recipe_settings(config: TrainConfig) -> dict[str, Any]:
    """How a model was trained, JSON-able, for its `config.json`: without the paths of one machine, and without what the
    model itself tells, its architecture."""
    settings = _training_options(config)
    settings |= {"warmup_steps": config.warmup_steps, "frozen_steps": config.frozen_steps}  # never left open
    for name in ("data", "out", "architecture"):
        settings.pop(name)
    start = config.start
    settings["backbone_weights"] = start.backbone_weights.name if start.backbone_weights else None
    if start.start_from is not None and Path(start.start_from).is_dir():
        settings["start_from"] = Path(start.start_from).name
    return _jsonable(settings)


def lasting_settings(config: TrainConfig, *, class_names: list[str]) -> dict[str, Any]:
    """What a resumed run must share with its start, JSON-able; of the data only the folder's name, so that it may
    move."""
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
    """All but those that a model is built from."""
    ungrouped = {name: value for name, value in _values(config).items() if not is_dataclass(value)}
    groups = _values(config.data) | _values(config.start) | _values(config.optimizer) | _values(config.loss)
    return {"data": groups.pop("folder"), "loss": groups.pop("terms"), **ungrouped, **groups}


def _values(group: Any) -> dict[str, Any]:
    return {field.name: getattr(group, field.name) for field in fields(group)}


def _jsonable(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
