"""Mask losses of SegViT's authors, which ECENet's authors probably use as well.

Every embedding belongs to a fixed class, so no matching is needed: the losses use the masks of classes that the image
contains. Masks are compared at the size of the labels, where pixels without a label count as outside of every mask.

All losses are sums over images divided by a value of the whole batch; see `ecenet/training/losses/segmentation.py`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.data.labels import IGNORE_INDEX
from ecenet.model.ecenet import resize
from ecenet.model.outputs import ECENetOutput
from ecenet.model.release import summed_masks

FOCAL_POWER, FOCAL_BALANCE = 2.0, 0.25
"""SegViT's focal loss: the power of (1 − p), and the weight of a mask's own pixels (1 − it for all others)."""
FOCAL_WEIGHT, DICE_WEIGHT = 20.0, 1.0
"""Weights of SegViT's mask losses; the cross-entropy of classes has weight 1."""
NO_OBJECT_WEIGHT = 0.1
"""Weight, in that cross-entropy, of classes that the image does not contain."""


class Masks(NamedTuple):
    """The M masks of a batch whose class occurs in their image, at the size of the labels."""

    logits: Tensor
    """(M, H·W)."""
    targets: Tensor
    """(M, H·W), 1 for pixels of the class."""


def held_classes(labels: Tensor, *, num_classes: int) -> Tensor:
    """Return whether each image contains each class: (B, H, W) → (B, K) bool."""
    held = torch.zeros(len(labels), num_classes + 1, dtype=torch.bool, device=labels.device)
    known = labels != IGNORE_INDEX
    return held.scatter(1, labels.where(known, num_classes).flatten(1), True)[:, :-1]


def masks_per_image(labels: Tensor, *, num_classes: int) -> Tensor:
    """Return the mean number of classes in an image, () float."""
    return held_classes(labels, num_classes=num_classes).float().sum(dim=1).mean()


def held_masks(mask_logits: Tensor, labels: Tensor) -> Masks:
    """Return the masks of classes that occur in their image, enlarged bilinearly, from (B, K, h, w) and (B, H, W)."""
    image, k = held_classes(labels, num_classes=mask_logits.shape[1]).nonzero(as_tuple=True)
    logits = resize(mask_logits[image, k][:, None].float(), labels.shape[-2:])
    targets = labels[image] == k[:, None, None]
    return Masks(logits.flatten(1), targets.flatten(1).float())


def mask_focal(masks: Masks) -> Tensor:
    """Compute the sum over masks of their mean focal loss (SegViT's). Returns: ()."""
    cross_entropy = F.binary_cross_entropy_with_logits(masks.logits, masks.targets, reduction="none")
    missing = (masks.targets - masks.logits.sigmoid()).abs()
    balance = FOCAL_BALANCE * masks.targets + (1 - FOCAL_BALANCE) * (1 - masks.targets)
    return _sum_of_means(balance * missing**FOCAL_POWER * cross_entropy)


def mask_cross_entropy(masks: Masks) -> Tensor:
    """Compute the sum over masks of their mean binary cross-entropy. Returns: ()."""
    return _sum_of_means(F.binary_cross_entropy_with_logits(masks.logits, masks.targets, reduction="none"))


def mask_dice(masks: Masks) -> Tensor:
    """Compute the sum over masks of 1 − (2 Σpt + 1) / (Σp + Σt + 1) (SegViT's). Returns: ()."""
    probabilities = masks.logits.sigmoid()
    overlap = (probabilities * masks.targets).sum(dim=1)
    return (1 - (2 * overlap + 1) / (probabilities.sum(dim=1) + masks.targets.sum(dim=1) + 1)).sum()


def _sum_of_means(values: Tensor) -> Tensor:
    """Sum the means of the rows, (M, N) → (); 0 without masks."""
    return values.sum() / values.shape[1]


def class_cross_entropy(class_logits: Tensor, labels: Tensor, *, per_image: Tensor) -> Tensor:
    """Compute SegViT's cross-entropy of the classified embeddings. The target is the embedding's own class if the image
    contains it, and otherwise "not in this image" with the weight `NO_OBJECT_WEIGHT`. The result is the weighted mean
    over the whole batch. Images without labels contain no class.

    Args:
        class_logits: (B, K, K + 1).
        per_image: () mean number of classes in an image of the whole batch.
    Returns: ().
    """
    batch, num_classes = class_logits.shape[:2]
    held = held_classes(labels, num_classes=num_classes)
    answers = torch.arange(num_classes, device=labels.device).where(held, num_classes)
    losses = F.cross_entropy(class_logits.float().transpose(1, 2), answers, reduction="none")
    weights = held.float().clamp_min(NO_OBJECT_WEIGHT)
    total = batch * (per_image + NO_OBJECT_WEIGHT * (num_classes - per_image))
    return (losses * weights).sum() / total


def segvit_loss(output: ECENetOutput, labels: Tensor, *, per_image: Tensor | None = None) -> Tensor:
    """Compute the loss of SegViT's authors: the sum over stages of the cross-entropy of classes, 20 times the focal
    loss and once the dice loss of the masks up to that stage. The final map has no loss of its own.

    Mask losses are summed over the masks of the whole batch and divided by their number, at least 1. The coarse mask,
    which only explicit embeddings have, is not part of the authors' loss and is omitted.

    Args:
        per_image: () mean number of classes in an image of the whole batch; by default that of these labels.
    Returns: ().
    """
    if per_image is None:
        per_image = masks_per_image(labels, num_classes=output.logits.shape[1])
    loss, summed = per_image.new_zeros(()), per_image.new_zeros(())
    for name, stage in output.stages.items():
        if name == "final" or stage.class_logits is None:
            continue
        summed = summed + stage.similarity
        masks = held_masks(summed, labels)
        of_masks = FOCAL_WEIGHT * mask_focal(masks) + DICE_WEIGHT * mask_dice(masks)
        loss = loss + class_cross_entropy(stage.class_logits, labels, per_image=per_image)
        loss = loss + of_masks / _batch_masks(labels, per_image)
    return loss


def deep_masks(output: ECENetOutput) -> Tensor:
    """Return the sum of all masks except the shallowest, on the grid of the shallowest, (B, K, h, w). The authors'
    release returns it in training."""
    masks = {name: stage.mask_logits for name, stage in output.stages.items() if name != "final"}
    shallowest = masks.pop("stage1")
    deeper = [resize(mask, shallowest.shape[-2:]) for mask in reversed(masks.values())]
    return summed_masks(deeper)


def release_mask_loss(
    output: ECENetOutput,
    labels: Tensor,
    *,
    mask_weight: float,
    dice_weight: float,
    per_image: Tensor | None = None,
) -> Tensor:
    """Compute binary cross-entropy and dice loss of the sum of all masks except the shallowest, divided by the number
    of masks of the batch.

    The weights 5 and 2 are those of the release. That they belong to these losses of that sum, for classes in the
    image, is our assumption: the release does not contain the code of its "SDT" loss.

    Args:
        per_image: see `segvit_loss`.
    Returns: ().
    """
    if per_image is None:
        per_image = masks_per_image(labels, num_classes=output.logits.shape[1])
    masks = held_masks(deep_masks(output), labels)
    loss = per_image.new_zeros(())
    if mask_weight:
        loss = loss + mask_weight * mask_cross_entropy(masks)
    if dice_weight:
        loss = loss + dice_weight * mask_dice(masks)
    return loss / _batch_masks(labels, per_image)


def _batch_masks(labels: Tensor, per_image: Tensor) -> Tensor:
    """Return the number of masks of the whole batch, in proportion to this part, (); at least 1, as in SegViT."""
    return (per_image * len(labels)).clamp_min(1)
