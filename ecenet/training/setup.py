"""What a training starts from: its model, batches and losses as the settings have them, and what a run must keep."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ecenet.data.loading import Batch, training_batches
from ecenet.data.read import read_data
from ecenet.data.sampling import StepSampler, TrainingSamples
from ecenet.data.split import LabelledSplit, class_pixels
from ecenet.inference.weights import copy_weights, load_model
from ecenet.model.backbone import load_backbone_file, timm_normalisation
from ecenet.model.network import Network, build_network
from ecenet.model.outputs import ECENetOutput
from ecenet.training.config import TrainConfig
from ecenet.training.losses import Losses, balanced_class_weights, segmentation_losses


class Splits(NamedTuple):
    """What is trained on and what is scored."""

    train: LabelledSplit
    val: LabelledSplit
    pixels: np.ndarray
    """(images, K) labelled pixels of each class in `train`."""


def read_splits(config: TrainConfig) -> Splits:
    """Both splits, every mask read once.

    Raises:
        UserError: files that are missing or bad, by name; a bad validation mask would else end a run at its first
            validation.
    """
    train, val = (
        read_data(config.data, split, layout=config.layout) for split in (config.train_split, config.val_split)
    )
    pixels = class_pixels(train)
    class_pixels(val)
    return Splits(train, val, pixels)


def new_model(config: TrainConfig, data: LabelledSplit) -> Network:
    """A model for the data's classes, its backbone pretrained, or all of it taken from other weights."""
    source = load_model(config.start_from) if config.start_from is not None else None
    from_timm = config.pretrained and config.backbone_weights is None and source is None
    mean, std = timm_normalisation(config.network.backbone) if from_timm else ([0.5] * 3, [0.5] * 3)
    if source is not None:
        mean, std = source.image_mean, source.image_std
    model = build_network(
        config.network,
        class_names=data.labels.class_names,
        class_colors=data.labels.class_colors,
        image_mean=list(config.image_mean or mean),
        image_std=list(config.image_std or std),
        image_size=config.image_size,
        recipe={"data": data.labels.name, "train": jsonable(config)},
        pretrained=from_timm,
    )
    if config.backbone_weights is not None:
        load_backbone_file(model.backbone.network, config.backbone_weights)
    if source is not None:
        copy_weights(source, model)
    return model


def make_sampler(
    config: TrainConfig,
    presence: np.ndarray,
    pixels: np.ndarray,
    *,
    first_step: int = 0,
    part: int = 0,
    parts: int = 1,
) -> StepSampler:
    """Every step that is left; `presence` and `pixels` are (images, K), the rest as for `StepSampler`."""
    return StepSampler(
        presence=presence,
        batch_size=config.batch_size,
        first_step=first_step,
        last_step=config.steps,
        seed=config.seed,
        paste=config.paste,
        pixels=pixels.sum(axis=0),
        part=part,
        parts=parts,
    )


def make_batches(
    config: TrainConfig, data: LabelledSplit, sampler: StepSampler, *, device: torch.device
) -> Iterator[Batch]:
    """The sampler's batches, augmented; errors as for `training_batches`."""
    samples = TrainingSamples(
        data, crop_size=config.crop_size, image_size=config.image_size, scale=config.scale, color=config.color
    )
    return training_batches(samples, sampler, workers=config.workers, pin_memory=device.type == "cuda")


def make_class_weights(config: TrainConfig, pixels: np.ndarray, *, device: torch.device) -> Tensor:
    """(K,) weights of the cross-entropies; `pixels` is (images, K)."""
    return balanced_class_weights(torch.from_numpy(pixels.sum(axis=0)), balance=config.class_balance).to(device)


def configured_losses(
    config: TrainConfig,
    output: ECENetOutput,
    labels: Tensor,
    *,
    class_weights: Tensor,
    labelled_share: Tensor | None = None,
) -> Losses:
    """`segmentation_losses` with the weights and kinds of `config`."""
    return segmentation_losses(
        output,
        labels,
        stage_weight=config.stage_weight,
        stage_loss=config.stage_loss,
        diversity_weight=config.diversity_weight,
        presence_weight=config.presence_weight,
        jaccard_weight=config.jaccard_weight,
        hard_pixels=config.hard_pixels,
        class_weights=class_weights,
        labelled_share=labelled_share,
    )


def jsonable(config: TrainConfig) -> dict[str, object]:
    """The settings for `config.json`, without the paths of one machine."""
    settings = asdict(config)
    settings["backbone_weights"] = config.backbone_weights.name if config.backbone_weights else None
    if config.start_from is not None and Path(config.start_from).is_dir():
        settings["start_from"] = Path(config.start_from).name
    for key in ("data", "out", "architecture", "model", "release", "segvit"):
        settings.pop(key)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def lasting_settings(config: TrainConfig, *, class_names: list[str]) -> dict[str, Any]:
    """What a resumed run must share with its start; of the data only the folder's name, so that it may move."""
    model = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config.network).items()}
    named = {"architecture": config.architecture, "data": config.data.resolve().name, "class_names": class_names}
    settings = jsonable(config) | model | named
    free = ("workers", "save_every", "validate_every", "tensorboard")
    return {key: value for key, value in settings.items() if key not in free}
