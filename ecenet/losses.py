"""What training minimises: final cross-entropy + λ_s Σ stage cross-entropies + λ_d diversity."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.data.labels import IGNORE_INDEX
from ecenet.model.ecenet import resize
from ecenet.outputs import ECENetOutput


class Losses(NamedTuple):
    """Unweighted parts, and their weighted sum. All ()."""

    total: Tensor
    final: Tensor
    stages: Tensor
    diversity: Tensor


def segmentation_losses(
    output: ECENetOutput, labels: Tensor, *, stage_weight: float, diversity_weight: float
) -> Losses:
    """Supervise the final logits at the labels' size, each stage at its own grid.

    That masks of stages are supervised and that diversity is a loss is the paper's; the terms and weights are ours.

    Args:
        output: of a batch.
        labels: (B, H, W) int64 class indices, 255 = ignore.
    """
    final = cross_entropy(resize(output.logits, labels.shape[-2:]), labels)
    stages = torch.stack(
        [
            cross_entropy(stage.mask_logits, subsample(labels, stage.mask_logits.shape[-2:]))
            for name, stage in output.stages.items()
            if name != "final"
        ]
    ).sum()
    total = final + stage_weight * stages + diversity_weight * output.diversity
    return Losses(total, final, stages, output.diversity)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over labelled pixels; 0 where there are none. (B, K, h, w), (B, h, w) → ()."""
    summed = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
    return summed / (labels != IGNORE_INDEX).sum().clamp_min(1)


def subsample(labels: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """The label at the centre of each cell: (B, H, W) → (B, *size)."""
    return F.interpolate(labels[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0].long()
