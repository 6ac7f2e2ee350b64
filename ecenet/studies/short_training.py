"""A short training without a run folder, for networks that are only to be compared: nothing of it can be resumed."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from ecenet.common.errors import UserError
from ecenet.data.split import LabelledSplit, class_presence
from ecenet.evaluation.metrics import confusion_matrix, mean_iou
from ecenet.inference.predictor import Predictor
from ecenet.model.ecenet import resize
from ecenet.model.outputs import ECENetOutput
from ecenet.training.config import TrainConfig
from ecenet.training.losses import cross_entropy
from ecenet.training.optimizer import (
    freeze_batch_norm,
    learners,
    learning_rate_factor,
    make_optimizer,
    moving_average,
    set_learning_rates,
)
from ecenet.training.setup import configured_losses, lasting_settings, make_batches, make_class_weights, make_sampler


class Candidate(NamedTuple):
    """A network of any decoder, which answers with logits or an `ECENetOutput`, and the part that is its backbone."""

    network: nn.Module
    backbone: nn.Module


def logits_of(output: Tensor | ECENetOutput) -> Tensor:
    """(B, K, h, w)."""
    return output if isinstance(output, Tensor) else output.logits


def check_ecenet(config: TrainConfig, purpose: str) -> None:
    """Raises:
    UserError: the settings are of another architecture, with which there is nothing to do for that purpose.
    """
    if config.architecture != "ecenet":
        raise UserError(
            "conflicting-options", f"Expected ECENet to {purpose}, got {config.architecture}; leave --architecture out."
        )


def shared_settings(config: TrainConfig, data: LabelledSplit) -> dict[str, Any]:
    """What all trainings of a study have in common, as JSON has it; each has a seed of its own."""
    settings = lasting_settings(config, class_names=data.labels.class_names)
    settings.pop("seed")
    return settings


def train_candidate(
    candidate: Candidate,
    config: TrainConfig,
    data: LabelledSplit,
    pixels: np.ndarray,
    preparation: Predictor,
    *,
    title: str,
) -> nn.Module:
    """The settings of `config` for any decoder; ECENet has the losses that only it can have, too.

    Two settings are left out: every backbone learns from the first step on, in all its stages.

    Args:
        pixels: (images, K) labelled pixels of each class.
        preparation: normalises images and chooses device and precision.
    Returns: the network with averaged weights.
    """
    device = preparation.device
    network = candidate.network.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(
        network,
        candidate.backbone,
        lr=config.lr,
        backbone_lr=config.backbone_lr,
        weight_decay=config.weight_decay,
    )
    averaged = AveragedModel(network, multi_avg_fn=moving_average(config.ema), use_buffers=True)
    weights = make_class_weights(config, pixels, device=device)
    sampler = make_sampler(config, class_presence(data, pixels), pixels)
    batches = make_batches(config, data, sampler, device=device)
    for step, (images, labels) in enumerate(tqdm(batches, total=config.steps, desc=title, unit="step")):
        labels = labels.to(device)
        network.train()
        freeze_batch_norm(candidate.backbone)
        factor = learning_rate_factor(
            step, steps=config.steps, warmup_steps=config.warmup_steps, schedule=config.schedule
        )
        set_learning_rates(optimizer, factor)
        with preparation.autocast():
            images = preparation.normalise(images.to(device))
            output = network(images)
        if isinstance(output, Tensor):
            logits = resize(output, labels.shape[-2:])
            loss = cross_entropy(logits, labels, class_weights=weights, hard_pixels=config.hard_pixels)
        else:
            loss = configured_losses(config, output, labels, class_weights=weights).total
        loss.backward()
        nn.utils.clip_grad_norm_(learners(optimizer), config.clip_grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        averaged.update_parameters(network)
    return averaged.module.eval()


@torch.inference_mode()
def score_network(network: nn.Module, data: LabelledSplit, preparation: Predictor) -> float:
    """mIoU over every class, each photo at its own size."""
    classes = data.labels.num_classes
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for index in tqdm(range(len(data)), desc=f"Scoring {data.split}", unit="image", leave=False):
        image, target = data.load(index)
        with preparation.autocast():
            logits = logits_of(network(preparation.working_image(image)))
        labels = resize(logits.float(), target.shape)[0].argmax(dim=0).cpu().numpy()
        confusion += confusion_matrix(target, labels, num_classes=classes)
    return mean_iou(confusion)
