"""Short trainings of networks for comparisons, without a run folder; they cannot be resumed."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.metrics import confusion_matrix, mean_iou
from ecenet.inference.predictor import Predictor
from ecenet.model.ecenet import resize
from ecenet.model.outputs import ECENetOutput
from ecenet.training.config import TrainConfig
from ecenet.training.settings import lasting_settings
from ecenet.training.setup import new_accelerator, new_batches
from ecenet.training.step import new_learner, optimisation_step


class Candidate(NamedTuple):
    """A network with any decoder, which returns logits or an `ECENetOutput`, and its timm backbone."""

    network: nn.Module
    backbone: nn.Module


def logits_of(output: Tensor | ECENetOutput) -> Tensor:
    """(B, K, h, w) logits."""
    return output if isinstance(output, Tensor) else output.logits


def check_study(config: TrainConfig, purpose: str) -> None:
    """Reject settings that a study does not support, before anything is trained.

    Raises:
        UserError: the settings are for another architecture, use features that short trainings do not have, or several
            processes were started.
    """
    if config.architecture != "ecenet":
        raise UserError(
            "conflicting-options", f"Expected ECENet to {purpose}, got {config.architecture}; omit --architecture."
        )
    for option, asked, lacking in (
        ("--tensorboard", config.tensorboard, "write no log"),
        ("--validate-every", config.validate_every is not None, "are only evaluated at the end"),
        ("--save-every", config.save_every != TrainConfig.save_every, "cannot be resumed within a training"),
    ):
        if asked:
            raise UserError(
                "conflicting-options",
                f"Expected settings of a short training, got {option}, but trainings of a study {lacking}; omit it.",
            )
    processes = this_process().num_processes
    if processes > 1:
        raise UserError(
            "conflicting-options", f"Expected one process for a study, got {processes}; start it without a launcher."
        )


def shared_settings(config: TrainConfig, data: LabelledSplit) -> dict[str, Any]:
    """Settings shared by all trainings of a study (all but the seed), for JSON."""
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
    """Train any decoder with the settings of `config`; ECENet is trained with its additional losses.

    Args:
        pixels: (images, K) number of labelled pixels of each class.
        preparation: used to normalise images and choose the precision.
    Returns: the network with averaged weights.
    """
    accelerator = new_accelerator(config)
    learner = new_learner(
        config, candidate.network, candidate.backbone, preparation=preparation, pixels=pixels, accelerator=accelerator
    )
    for batch in tqdm(new_batches(config, data, pixels, accelerator), total=config.steps, desc=title, unit="step"):
        optimisation_step(learner, batch, config)
    return learner.averaged.module.eval()


@torch.inference_mode()
def score_network(network: nn.Module, data: LabelledSplit, preparation: Predictor) -> float:
    """mIoU over all classes, with each photo at its own size."""
    classes = data.labels.num_classes
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for index in tqdm(range(len(data)), desc=f"Scoring {data.split}", unit="image", leave=False):
        image, target = data.load(index)
        with preparation.autocast():
            logits = logits_of(network(preparation.working_image(image)))
        labels = resize(logits.float(), target.shape)[0].argmax(dim=0).cpu().numpy()
        confusion += confusion_matrix(target, labels, num_classes=classes)
    return mean_iou(confusion)
