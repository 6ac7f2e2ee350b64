"""Losses of masks that each belong to one class, as SegViT's authors have them and ECENet's release probably does.

Every embedding answers for its own class, so nothing has to be matched: of a batch's masks those count whose class
their image holds. They are compared at the labels' size, where cells without a label count as outside of every mask.

All are sums over images divided by what the whole batch shares, see `ecenet/training/losses/segmentation.py`.
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
"""Of SegViT's focal loss: (1 − p)^power, and what a mask's own pixels weigh, against 1 − it for all others."""
FOCAL_WEIGHT, DICE_WEIGHT = 20.0, 1.0
"""Of SegViT's mask losses, against the cross-entropy of classes, which has 1."""
NO_OBJECT_WEIGHT = 0.1
"""In that, of a class that the image does not hold."""


class Masks(NamedTuple):
    """Those of a batch whose class their image holds: M of them, at the labels' size."""

    logits: Tensor
    """(M, H·W)."""
    targets: Tensor
    """(M, H·W), 1 where the class is."""


def held_classes(labels: Tensor, *, num_classes: int) -> Tensor:
    """Whether each image has a pixel of each class: (B, H, W) → (B, K) bool."""
    held = torch.zeros(len(labels), num_classes + 1, dtype=torch.bool, device=labels.device)
    known = labels != IGNORE_INDEX
    return held.scatter(1, labels.where(known, num_classes).flatten(1), True)[:, :-1]


def masks_per_image(labels: Tensor, *, num_classes: int) -> Tensor:
    """() float, classes that an image holds, on average."""
    return held_classes(labels, num_classes=num_classes).float().sum(dim=1).mean()


def held_masks(mask_logits: Tensor, labels: Tensor) -> Masks:
    """(B, K, h, w), (B, H, W) → the masks of classes that images hold, enlarged bilinearly."""
    image, k = held_classes(labels, num_classes=mask_logits.shape[1]).nonzero(as_tuple=True)
    logits = resize(mask_logits[image, k][:, None].float(), labels.shape[-2:])
    targets = labels[image] == k[:, None, None]
    return Masks(logits.flatten(1), targets.flatten(1).float())


def mask_focal(masks: Masks) -> Tensor:
    """Sum over masks of their mean focal loss, SegViT's. Returns: ()."""
    cross_entropy = F.binary_cross_entropy_with_logits(masks.logits, masks.targets, reduction="none")
    missing = (masks.targets - masks.logits.sigmoid()).abs()
    balance = FOCAL_BALANCE * masks.targets + (1 - FOCAL_BALANCE) * (1 - masks.targets)
    return _sum_of_means(balance * missing**FOCAL_POWER * cross_entropy)


def mask_cross_entropy(masks: Masks) -> Tensor:
    """Sum over masks of their mean binary cross-entropy. Returns: ()."""
    return _sum_of_means(F.binary_cross_entropy_with_logits(masks.logits, masks.targets, reduction="none"))


def mask_dice(masks: Masks) -> Tensor:
    """Sum over masks of 1 − (2 Σpt + 1) / (Σp + Σt + 1), SegViT's. Returns: ()."""
    probabilities = masks.logits.sigmoid()
    overlap = (probabilities * masks.targets).sum(dim=1)
    return (1 - (2 * overlap + 1) / (probabilities.sum(dim=1) + masks.targets.sum(dim=1) + 1)).sum()


def _sum_of_means(values: Tensor) -> Tensor:
    """(M, N) → (); 0 without a mask."""
    return values.sum() / values.shape[1]


def class_cross_entropy(class_logits: Tensor, labels: Tensor, *, per_image: Tensor) -> Tensor:
    """What each embedding is taken for: its own class where the image holds that, "not in this image" elsewhere, which
    weighs `NO_OBJECT_WEIGHT`; mean over the whole batch by weight. An image without any label holds no class. SegViT's.

    Args:
        class_logits: (B, K, K + 1).
        per_image: () classes that an image of the whole batch holds, on average.
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
    """SegViT's authors' loss: of every stage, with weight 1, the cross-entropy of classes, 20 times the focal loss and
    once the dice loss of the masks up to it. Nothing asks the final map.

    Mask losses are summed over the masks of the whole batch and divided by their number, at least 1. A coarse mask,
    which only explicit embeddings have, is none of theirs and is left out.

    Args:
        per_image: () classes that an image of the whole batch holds, on average; of these labels by default.
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
    """Sum of all masks but the shallowest, on its grid: what the authors' release returns in training. (B, K, h, w)."""
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
    """Binary cross-entropy and dice of the sum of all masks but the shallowest, divided by the batch's masks.

    The weights 5 and 2 are the release's; that they are of these losses, for classes that an image holds, of that sum,
    is probable: the code of its "SDT" loss is not in it.

    Args:
        per_image: as for `segvit_loss`.
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
    """() masks of the whole batch, in proportion to this part of it; at least 1, as the authors have it."""
    return (per_image * len(labels)).clamp_min(1)
