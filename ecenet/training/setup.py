"""Setup of a training: data, model and batches."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.distributed import only_cpu, this_process
from ecenet.common.errors import UserError
from ecenet.data.inspection.class_table import check_learnable
from ecenet.data.inspection.report import splits_report
from ecenet.data.layouts.read import read_data
from ecenet.data.loading import Batch, training_batches
from ecenet.data.sampling import StepSampler, TrainingSamples
from ecenet.data.split import LabelledSplit, class_presence, pixel_counts
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import copy_weights, load_model
from ecenet.model.backbone import load_backbone_file, timm_normalisation
from ecenet.model.network import Network, build_network
from ecenet.training.config import HALF, DataConfig, TrainConfig
from ecenet.training.settings import recipe_settings


class Splits(NamedTuple):
    """The splits for training and validation."""

    train: LabelledSplit
    val: LabelledSplit
    pixels: np.ndarray
    """(images, K) labelled pixels of each class in `train`."""


def read_splits(config: DataConfig) -> Splits:
    """Read both splits and every mask once, and print a table of their content and warnings.

    Raises:
        UserError: files are missing or invalid (the message names them), which would otherwise end the run at its first
            validation; or the training masks contain one class only.
    """
    train, val = (
        read_data(config.folder, split, layout=config.layout) for split in (config.train_split, config.val_split)
    )
    counts, val_counts = pixel_counts(train), pixel_counts(val)
    check_learnable(train, counts)
    if this_process().is_main_process:
        table, doubts = splits_report(train, val, counts, val_counts)
        print(table)
        for doubt in doubts:
            print(f"Note: {doubt}")
    return Splits(train, val, counts[:, :-1])


def new_accelerator(config: TrainConfig) -> Accelerator:
    """Create the accelerator, with all processes of the launcher.

    Raises:
        UserError: a batch cannot be split evenly among processes and accumulated parts.
    """
    accelerator = Accelerator(
        cpu=only_cpu(),
        log_with="tensorboard" if config.tensorboard else None,
        project_dir=config.out,
        # While the backbone is frozen, its weights have no gradients.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=config.frozen_steps > 0)],
    )
    divisor = accelerator.num_processes * config.accumulate
    if config.batch_size % divisor:
        raise UserError(
            "conflicting-options",
            f"Expected batch_size to be a multiple of processes × accumulate = {divisor}, got {config.batch_size}; "
            f"choose {-(-config.batch_size // divisor) * divisor}.",
        )
    return accelerator


def new_model(config: TrainConfig, data: LabelledSplit) -> Network:
    """Create a model for the data's classes with a pretrained backbone, or from other weights."""
    start = config.start
    source = load_model(start.start_from) if start.start_from is not None else None
    from_timm = start.pretrained and start.backbone_weights is None and source is None
    mean, std = timm_normalisation(config.network.backbone) if from_timm else ([0.5] * 3, [0.5] * 3)
    if source is not None:
        mean, std = source.image_mean, source.image_std
    try:
        model = build_network(
            config.network,
            class_names=data.labels.class_names,
            class_colors=data.labels.class_colors,
            image_mean=list(start.image_mean or mean),
            image_std=list(start.image_std or std),
            image_size=config.data.image_size,
            recipe={"data": data.labels.name, "train": recipe_settings(config)},
            pretrained=from_timm,
        )
    except UserError as error:
        if error.code != "download-failed":
            raise
        remedy = f"Included weights need no download: --start-from {DEFAULT_WEIGHTS}."
        raise error.retold(f"{error} {remedy}") from error
    if start.backbone_weights is not None:
        load_backbone_file(model.backbone.network, start.backbone_weights)
    if source is not None:
        copy_weights(source, model)
    return model


def new_predictor(config: TrainConfig, model: Network, *, device: torch.device) -> Predictor:
    """Create the predictor, which defines normalisation and precision for training and validation."""
    return Predictor(model, device=device, half=HALF[config.precision])


def new_batches(
    config: TrainConfig, data: LabelledSplit, pixels: np.ndarray, accelerator: Accelerator, *, first_step: int = 0
) -> Iterator[Batch]:
    """Yield this process's part of the batch of every remaining step, augmented; errors as in `training_batches`.

    Args:
        pixels: (images, K) labelled pixels of each class.
    """
    settings = config.data
    sampler = StepSampler(
        presence=class_presence(data, pixels),
        batch_size=config.batch_size,
        first_step=first_step,
        last_step=config.steps,
        seed=config.seed,
        paste=settings.paste,
        class_sampling=settings.class_sampling,
        pixels=pixels.sum(axis=0),
        part=accelerator.process_index,
        parts=accelerator.num_processes,
    )
    samples = TrainingSamples(
        data,
        crop_size=settings.crop_size,
        image_size=settings.image_size,
        scale=settings.scale,
        color=settings.color,
    )
    return training_batches(samples, sampler, workers=settings.workers, pin_memory=accelerator.device.type == "cuda")
