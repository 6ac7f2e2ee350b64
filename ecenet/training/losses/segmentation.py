"""What training minimises: final cross-entropy + λ_s Σ stage losses + λ_p presence + λ_j Jaccard + λ_d diversity
+ λ_c contrast.

Every term but the last is a sum over images divided by something that the whole batch shares, so that a batch split
over processes or accumulated in parts has the same loss and the same gradient. The contrast compares images with each
other, in each part those of that part alone.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.data.labels import IGNORE_INDEX
from ecenet.model.ecenet import resize
from ecenet.model.outputs import ECENetOutput
from ecenet.training.config import LossConfig
from ecenet.training.losses.contrastive import stage_contrast
from ecenet.training.losses.published import (
    DICE_WEIGHT,
    FOCAL_BALANCE,
    FOCAL_POWER,
    FOCAL_WEIGHT,
    NO_OBJECT_WEIGHT,
    release_mask_loss,
    segvit_loss,
)


class Losses(NamedTuple):
    """Unweighted parts, and their weighted sum. All ()."""

    total: Tensor
    final: Tensor
    stages: Tensor
    presence: Tensor
    jaccard: Tensor
    diversity: Tensor
    contrast: Tensor


def segmentation_losses(
    output: ECENetOutput | Tensor,
    labels: Tensor,
    config: LossConfig,
    *,
    class_weights: Tensor | None = None,
    labelled_share: Tensor | None = None,
    masks_per_image: Tensor | None = None,
) -> Losses:
    """Supervise the final logits at the labels' size (or every `label_stride`-th pixel), each stage at its own grid;
    `config.terms` may say otherwise.

    The abstract's: that there is a diversity loss. Ours: the terms and weights, and that each stage's mask is
    supervised by itself; the authors' release returns one sum of masks for its loss. SegViT's stages have its authors'
    loss instead, but for what `matched_loss` says; what the final logits add to that is ours. With the terms "release"
    and "segvit" it is the losses of `ecenet/training/losses/published.py`.

    Args:
        output: of a batch. Of another decoder, whose answer is (B, K, h, w) logits alone, only the losses that need no
            more are computed; the others are 0.
        labels: (B, H, W) int64 class indices, 255 = ignore.
        class_weights: (K,) of the cross-entropies; 1 for all by default.
        labelled_share: () share of pixels with a label in the whole batch of which this is a part; measured here by
            default.
        masks_per_image: () classes that an image of the whole batch holds, on average; measured here by default.
    """
    if labelled_share is None:
        labelled_share = share_labelled(labels)
    logits = output if isinstance(output, Tensor) else output.logits
    height, width = (-(-side // config.label_stride) for side in labels.shape[-2:])
    final = cross_entropy(
        resize(logits, (height, width)),
        subsample(labels, (height, width)),
        class_weights=class_weights,
        labelled_share=labelled_share,
        hard_pixels=config.hard_pixels,
    )
    stages = diversity = contrast = zero = final.new_zeros(())
    stage_weight = config.stage_weight
    if isinstance(output, ECENetOutput):
        if config.terms == "segvit":
            # Its authors' weights are within; a coarse mask, which is ours, keeps the weight that stages have with us.
            stages = segvit_loss(output, labels, per_image=masks_per_image)
            stages = stages + stage_weight * _coarse_loss(output, labels, labelled_share=labelled_share)
            stage_weight = 1.0
        elif config.terms == "release":
            stages = release_mask_loss(
                output,
                labels,
                mask_weight=config.mask_weight,
                dice_weight=config.dice_weight,
                per_image=masks_per_image,
            )
            stage_weight = 1.0
        else:
            stages = _stage_losses(output, labels, config, class_weights=class_weights, labelled_share=labelled_share)
        diversity = output.diversity
        contrast = stage_contrast(output, labels) if config.contrast_weight else zero
    presence = class_presence_loss(logits, labels) if config.presence_weight else zero
    jaccard = lovasz_softmax(logits, labels) if config.jaccard_weight else zero
    # SegViT's authors ask nothing of the final map: it is reported alone.
    total = stage_weight * stages if config.terms == "segvit" else final + stage_weight * stages
    total = total + config.presence_weight * presence + config.jaccard_weight * jaccard
    total = total + config.diversity_weight * diversity
    if config.contrast_weight:
        total = total + config.contrast_weight * contrast
    return Losses(total, final, stages, presence, jaccard, diversity, contrast)


def _stage_losses(
    output: ECENetOutput,
    labels: Tensor,
    config: LossConfig,
    *,
    class_weights: Tensor | None,
    labelled_share: Tensor,
) -> Tensor:
    """Sum over all stages but `final`. Returns: ()."""
    losses, summed_masks = labelled_share.new_zeros(()), labelled_share.new_zeros(())
    for name, stage in output.stages.items():
        if name == "final":
            continue
        if stage.class_logits is not None:
            summed_masks = summed_masks + stage.similarity
            losses = losses + matched_loss(stage.class_logits, summed_masks, labels)
            continue
        targets = subsample(labels, stage.mask_logits.shape[-2:])
        losses = losses + cross_entropy(
            stage.mask_logits,
            targets,
            class_weights=class_weights,
            labelled_share=labelled_share,
            focal_power=FOCAL_POWER if config.stage_loss == "dice_focal" else 0.0,
        )
        if config.stage_loss == "dice_focal":
            losses = losses + dice(stage.mask_logits, targets)
    return losses


def _coarse_loss(output: ECENetOutput, labels: Tensor, *, labelled_share: Tensor) -> Tensor:
    """Cross-entropy of the coarse mask; 0 where there is none. Returns: ()."""
    coarse = output.stages.get("ece")
    if coarse is None:
        return labelled_share.new_zeros(())
    targets = subsample(labels, coarse.mask_logits.shape[-2:])
    return cross_entropy(coarse.mask_logits, targets, labelled_share=labelled_share)


def share_labelled(labels: Tensor) -> Tensor:
    """() float, share of pixels that have a label."""
    return (labels != IGNORE_INDEX).float().mean()


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    labelled_share: Tensor | None = None,
    class_weights: Tensor | None = None,
    hard_pixels: float = 1.0,
    focal_power: float = 0.0,
) -> Tensor:
    """Mean over the labelled pixels of the whole batch; 0 where there are none. (B, K, h, w), (B, h, w) → ().

    Args:
        hard_pixels: below 1, only so large a share of each image's pixels counts, those with the largest loss.
        focal_power: above 0, each pixel's loss is multiplied by (1 − p)^power.
    """
    if labelled_share is None:
        labelled_share = share_labelled(labels)
    logits = logits.float()
    losses = F.cross_entropy(logits, labels, weight=class_weights, ignore_index=IGNORE_INDEX, reduction="none")
    if focal_power:
        valid = labels.where(labels != IGNORE_INDEX, 0)
        losses = losses * (1 - logits.softmax(dim=1).gather(1, valid[:, None])[:, 0]) ** focal_power
    count = losses[0].numel()
    if hard_pixels < 1:
        count = max(1, round(hard_pixels * count))
        losses = losses.flatten(1).topk(count, dim=1, sorted=False).values
    return losses.sum() / (labelled_share * count * len(labels)).clamp_min(1e-6)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """1 − Dice of every class that an image holds, its mean per image, their mean. (B, K, h, w), (B, h, w) → ()."""
    targets, labelled = _class_targets(labels, num_classes=logits.shape[1])
    return _mean_of_held(_missed(logits.float().softmax(dim=1) * labelled, targets), targets).mean()


def _class_targets(labels: Tensor, *, num_classes: int) -> tuple[Tensor, Tensor]:
    """1 where a cell has the class, and 1 where it has a label: (B, h, w) → float32 (B, K, h, w), (B, 1, h, w)."""
    labelled = (labels != IGNORE_INDEX)[:, None]
    targets = F.one_hot(labels.where(labelled[:, 0], 0), num_classes).permute(0, 3, 1, 2) * labelled
    return targets.float(), labelled.float()


def _mean_of_held(values: Tensor, targets: Tensor) -> Tensor:
    """Each image's mean over the classes that it holds; 0 if none. (B, K), (B, K, h, w) → (B,)."""
    held = targets.amax(dim=(2, 3))
    return (values * held).sum(dim=1) / held.sum(dim=1).clamp_min(1)


def _missed(probabilities: Tensor, targets: Tensor) -> Tensor:
    """1 − Dice of each mask, (B, K, h, w) twice → (B, K)."""
    overlap = (probabilities * targets).sum(dim=(2, 3))
    total = probabilities.sum(dim=(2, 3)) + targets.sum(dim=(2, 3))
    return 1 - (2 * overlap + 1) / (total + 1)


def matched_loss(class_logits: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """Each class embedding answers for its own class: is it in the image, and where? Mean over images.

    SegViT's: cross-entropy of what embeddings are taken for, and for the classes that an image holds focal loss and
    dice of their masks, with its authors' weights. Ours: that masks are judged on their grid, in its labelled part.
    Without it two embeddings may come to share two classes, and nothing in the final map's loss would part them.

    Args:
        class_logits: (B, K, K + 1), the last for a class that the image does not hold.
        masks: (B, K, h, w) logits.
        labels: (B, H, W) int64 class indices, 255 = ignore.
    Returns: ().
    """
    num_classes = masks.shape[1]
    known = labels != IGNORE_INDEX
    held = torch.zeros(class_logits.shape[0], num_classes + 1, dtype=torch.bool, device=labels.device)
    held = held.scatter(1, labels.where(known, num_classes).flatten(1), True)[:, :-1]
    answers = torch.arange(num_classes, device=labels.device).where(held, num_classes)
    weights = held.float().clamp_min(NO_OBJECT_WEIGHT)
    taken = F.cross_entropy(class_logits.float().transpose(1, 2), answers, reduction="none")
    losses = (taken * weights).sum(dim=1) / weights.sum(dim=1)

    targets, labelled = _class_targets(subsample(labels, masks.shape[-2:]), num_classes=num_classes)
    logits = masks.float()
    probabilities = logits.sigmoid()
    missing = (targets - probabilities).abs() ** FOCAL_POWER
    balance = FOCAL_BALANCE * targets + (1 - FOCAL_BALANCE) * (1 - targets)
    focal = balance * missing * F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * labelled
    focal = focal.sum(dim=(2, 3)) / labelled.sum(dim=(2, 3)).clamp_min(1)
    of_masks = FOCAL_WEIGHT * focal + DICE_WEIGHT * _missed(probabilities * labelled, targets)
    losses = losses + _mean_of_held(of_masks, targets)
    return (losses * known.flatten(1).any(dim=1)).mean()


def class_presence_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Does the image hold the class? Binary cross-entropy of each class's highest probability in the labelled part.

    Ours. (B, K, h, w), (B, H, W) → ().
    """
    targets, labelled = _class_targets(subsample(labels, logits.shape[-2:]), num_classes=logits.shape[1])
    peaks = (logits.float().softmax(dim=1) * labelled).amax(dim=(2, 3)).clamp(1e-6, 1 - 1e-6)
    held = targets.amax(dim=(2, 3))
    # Written out, since autocast refuses binary_cross_entropy.
    return -(held * peaks.log() + (1 - held) * (1 - peaks).log()).mean()


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """1 − IoU of every class that an image holds, made smooth; its mean per image, their mean.

    Cross-entropy weighs a pixel as any other; to the IoU of a thin class a few pixels are much. This is the Lovász
    extension of 1 − IoU (Berman, Triki, Blaschko, CVPR 2018): equal to it where every probability is 0 or 1, convex in
    the errors between. On the logits' own grid, since each class sorts all its pixels.

    (B, K, h, w), (B, H, W) → ().
    """
    targets, labelled = _class_targets(subsample(labels, logits.shape[-2:]), num_classes=logits.shape[1])
    errors = (targets - logits.float().softmax(dim=1) * labelled).abs().flatten(2)
    errors, order = errors.sort(dim=2, descending=True)
    own = targets.flatten(2).gather(2, order)
    pixels = own.sum(dim=2, keepdim=True)
    # 1 − IoU if the first, the first two, ... of the sorted pixels were wrong and no other.
    missed, added = own.cumsum(dim=2), (1 - own).cumsum(dim=2)
    jaccard = 1 - (pixels - missed) / (pixels + added).clamp_min(1)
    steps = jaccard.diff(dim=2, prepend=torch.zeros_like(pixels))
    return _mean_of_held((errors * steps).sum(dim=2), targets).mean()


def balanced_class_weights(pixels: Tensor, *, balance: float) -> Tensor:
    """Weights ∝ frequency^−balance whose mean over all pixels is 1; a class without pixels gets the largest.

    Args:
        pixels: (K,) labelled pixels of each class.
        balance: 0 weighs all pixels alike, 1 all classes.
    """
    frequency = pixels.double() / pixels.sum()
    weights = frequency.clamp_min(frequency[frequency > 0].min()) ** -balance
    return (weights / (weights * frequency).sum()).float()


def subsample(labels: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """The label at the centre of each cell: (B, H, W) → (B, *size)."""
    if labels.shape[-2:] == tuple(size):
        return labels
    return F.interpolate(labels[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0].long()
