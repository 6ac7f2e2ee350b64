"""The optimisation step, shared by `train`, the trainings of studies, and benchmarks."""

import contextlib
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ecenet.common.errors import UserError
from ecenet.data.loading import Batch
from ecenet.inference.predictor import Predictor
from ecenet.training.config import TrainConfig
from ecenet.training.interruption import too_large
from ecenet.training.losses.published import masks_per_image
from ecenet.training.losses.segmentation import Losses, balanced_class_weights, segmentation_losses, share_labelled
from ecenet.training.optimizer import (
    choose_learners,
    freeze_batch_norm,
    leading_stages,
    learners,
    learning_rate_factor,
    make_optimizer,
    moving_average,
    set_learning_rates,
)


@dataclass(frozen=True)
class Learner:
    """A network with any decoder, and everything that an optimisation step needs."""

    network: nn.Module
    """It returns an `ECENetOutput`, or (B, K, h, w) logits."""
    called: nn.Module
    """The same network, possibly compiled and wrapped for several processes."""
    backbone: nn.Module
    """timm's network within it, which has a learning rate of its own and may be frozen."""
    never_learn: list[nn.Parameter]
    """Parameters of the backbone's frozen stages."""
    optimizer: torch.optim.AdamW
    averaged: AveragedModel
    """The moving average of the network, which is validated."""
    preparation: Predictor
    """Normalises images and defines the precision."""
    class_weights: Tensor
    """(K,) weights of the cross-entropies."""
    accelerator: Accelerator


def new_learner(
    config: TrainConfig,
    network: nn.Module,
    backbone: nn.Module,
    *,
    preparation: Predictor,
    pixels: np.ndarray,
    accelerator: Accelerator,
) -> Learner:
    """Create the learner for `optimisation_step`.

    Args:
        backbone: timm's network within `network`.
        pixels: (images, K) labelled pixels of each class.
    Raises:
        UserError: `layer_decay` is below 1, but the backbone does not define layers.
    """
    network.to(accelerator.device).to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda" and not config.frozen_batch_norm:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
    averaged = AveragedModel(network, multi_avg_fn=moving_average(config.optimizer.ema), use_buffers=True)
    optimizer = make_optimizer(network, backbone, config.optimizer)
    never_learn = leading_stages(backbone, config.optimizer.frozen_stages, out_indices=config.network.out_indices)
    choose_learners(backbone, learns=True, never=never_learn)
    called = accelerator.prepare_model(torch.compile(network) if config.compile else network)
    weights = balanced_class_weights(torch.from_numpy(pixels.sum(axis=0)), balance=config.loss.class_balance)
    return Learner(
        network=network,
        called=called,
        backbone=backbone,
        never_learn=never_learn,
        optimizer=optimizer,
        averaged=averaged,
        preparation=preparation,
        class_weights=weights.to(accelerator.device),
        accelerator=accelerator,
    )


def optimisation_step(learner: Learner, batch: Batch, config: TrainConfig) -> Losses:
    """Update the weights and their average once. All randomness is derived from the seed and the step.

    Returns: the losses of the whole batch, over all processes, detached.
    Raises:
        UserError: the loss is not finite, in which case no weight is updated; or the device has too little memory.
    """
    accelerator = learner.accelerator
    first_image = accelerator.process_index * len(batch.labels)
    torch.manual_seed(int(np.random.SeedSequence((config.seed, batch.step, first_image)).generate_state(1)[0]))
    set_learning_rates(learner.optimizer, learning_rate_factor(batch.step, config))
    backbone_learns = batch.step >= config.frozen_steps
    learner.network.train()
    if config.frozen_batch_norm or not backbone_learns:
        freeze_batch_norm(learner.backbone)
    choose_learners(learner.backbone, learns=backbone_learns, never=learner.never_learn)

    try:
        losses = _backward(learner, batch, config)
    except torch.OutOfMemoryError as error:
        raise too_large(config, processes=accelerator.num_processes) from error
    if not torch.isfinite(losses.total):
        raise UserError(
            "loss-not-finite",
            f"Expected a finite loss, got {losses.total.item()} at step {batch.step} from {', '.join(batch.files)}; "
            f"lower lr (it was {config.optimizer.lr:g}) in a new --out; if that fails, check these files.",
        )
    accelerator.clip_grad_norm_(learners(learner.optimizer), config.optimizer.clip_grad)
    learner.optimizer.step()
    learner.optimizer.zero_grad(set_to_none=True)
    learner.averaged.update_parameters(learner.network)
    return losses


def _backward(learner: Learner, batch: Batch, config: TrainConfig) -> Losses:
    """Compute the gradient of the whole batch, one part after the other."""
    accelerator, preparation = learner.accelerator, learner.preparation
    labels = batch.labels.to(accelerator.device)
    labelled_share = accelerator.reduce(share_labelled(labels), "mean")
    per_image = accelerator.reduce(masks_per_image(labels, num_classes=len(learner.class_weights)), "mean")
    figures = torch.zeros(len(Losses._fields), device=labels.device)
    parts = list(zip(batch.pixels.chunk(config.accumulate), labels.chunk(config.accumulate), strict=True))
    for part, (part_pixels, part_labels) in enumerate(parts, start=1):
        whole = part == len(parts)
        with contextlib.nullcontext() if whole else accelerator.no_sync(learner.called):
            with preparation.autocast():
                images = preparation.normalise(part_pixels.to(accelerator.device))
                output = learner.called(images)
            losses = segmentation_losses(
                output,
                part_labels,
                config.loss,
                class_weights=learner.class_weights,
                labelled_share=labelled_share,
                masks_per_image=per_image,
            )
            accelerator.backward(losses.total / len(parts))
        figures += torch.stack(losses).detach() / len(parts)
    return Losses(*accelerator.reduce(figures, "mean"))
