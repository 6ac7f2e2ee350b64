"""What a run starts from: its model, and the settings that it must keep."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecenet.config import TrainConfig
from ecenet.data.split import LabelledSplit
from ecenet.model.backbone import load_backbone_file, timm_normalisation
from ecenet.model.ecenet import ECENet, build_model
from ecenet.weights import copy_weights, load_model


def new_model(config: TrainConfig, data: LabelledSplit) -> ECENet:
    """A model for the data's classes, its backbone pretrained, or all of it taken from other weights."""
    source = load_model(config.start_from) if config.start_from is not None else None
    from_timm = config.pretrained and config.backbone_weights is None and source is None
    mean, std = timm_normalisation(config.model.backbone) if from_timm else ([0.5] * 3, [0.5] * 3)
    if source is not None:
        mean, std = source.image_mean, source.image_std
    model = build_model(
        config.model,
        class_names=data.labels.class_names,
        class_colors=data.labels.class_colors,
        image_mean=list(config.image_mean or mean),
        image_std=list(config.image_std or std),
        image_size=config.image_size,
        recipe={"data": data.labels.name, "train": jsonable(config)},
        pretrained=from_timm,
    )
    if config.backbone_weights is not None:
        load_backbone_file(model.backbone, config.backbone_weights)
    if source is not None:
        copy_weights(source, model)
    return model


def jsonable(config: TrainConfig) -> dict[str, object]:
    """The settings for `config.json`, without the paths of one machine."""
    settings = asdict(config)
    settings["backbone_weights"] = config.backbone_weights.name if config.backbone_weights else None
    if config.start_from is not None and Path(config.start_from).is_dir():
        settings["start_from"] = Path(config.start_from).name
    for key in ("data", "out", "model"):
        settings.pop(key)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def lasting_settings(config: TrainConfig, *, class_names: list[str]) -> dict[str, Any]:
    """What a resumed run must share with its start; of the data only the folder's name, so that it may move."""
    model = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config.model).items()}
    settings = jsonable(config) | model | {"data": config.data.resolve().name, "class_names": class_names}
    free = ("workers", "save_every", "validate_every", "tensorboard")
    return {key: value for key, value in settings.items() if key not in free}
