"""The training loss: final cross-entropy + λ_s Σ stage losses + λ_p presence + λ_j Jaccard + λ_d diversity
+ λ_c contrast.

Every term except the last is a sum over images divided by a value of the whole batch, so that a batch that is split
over processes or accumulated parts has the same loss and gradient. The contrastive loss compares the images of each
part.
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
    """The unweighted terms and their weighted sum, all ()."""

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
    """Compute the losses of the final logits at the size of the labels (or every `label_stride`-th pixel), and of each
    stage on its own grid.

    From the abstract: that there is a diversity loss. Ours: the terms and weights, and that each stage's mask has its
    own loss (the authors' release returns one sum of masks for its loss). Stages of SegViT use its authors' loss, with
    the differences described in `matched_loss`; adding the loss of the final logits is ours. With the terms "release"
    and "segvit", the losses of `ecenet/training/losses/published.py` are used.

    Args:
        output: output for a batch. For other decoders, which return (B, K, h, w) logits only, terms that need more are
            0.
        labels: (B, H, W) int64 class indices, 255 = ignore.
        class_weights: (K,) weights of the cross-entropies; by default all 1.
        labelled_share: () share of labelled pixels in the whole batch, of which this is a part; by default that of
            these labels.
        masks_per_image: () mean number of classes in an image of the whole batch; by default that of these labels.
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
            # The authors' weights are included. The coarse mask, which is ours, has our weight of stages.
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
    # SegViT's authors use no loss on the final map; it is only reported.
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
    """Compute the sum of losses over all stages except `final`. Returns: ()."""
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
    """Compute the cross-entropy of the coarse mask, or 0 without one. Returns: ()."""
    coarse = output.stages.get("ece")
    if coarse is None:
        return labelled_share.new_zeros(())
    targets = subsample(labels, coarse.mask_logits.shape[-2:])
    return cross_entropy(coarse.mask_logits, targets, labelled_share=labelled_share)


def share_labelled(labels: Tensor) -> Tensor:
    """Return the share of labelled pixels, () float."""
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
    """Compute the mean cross-entropy over the labelled pixels of the whole batch, or 0 without any.
    (B, K, h, w), (B, h, w) → ().

    Args:
        hard_pixels: if below 1, use only this share of each image's pixels, those with the largest loss.
        focal_power: if above 0, each pixel's loss is multiplied by (1 − p)^power.
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
    """Compute 1 − Dice, averaged over the classes in each image and over images. (B, K, h, w), (B, h, w) → ()."""
    targets, labelled = _class_targets(labels, num_classes=logits.shape[1])
    return _mean_of_held(_missed(logits.float().softmax(dim=1) * labelled, targets), targets).mean()


def _class_targets(labels: Tensor, *, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return one-hot targets and a mask of labelled cells: (B, h, w) → float32 (B, K, h, w), (B, 1, h, w)."""
    labelled = (labels != IGNORE_INDEX)[:, None]
    targets = F.one_hot(labels.where(labelled[:, 0], 0), num_classes).permute(0, 3, 1, 2) * labelled
    return targets.float(), labelled.float()


def _mean_of_held(values: Tensor, targets: Tensor) -> Tensor:
    """Compute each image's mean over the classes that it contains, or 0. (B, K), (B, K, h, w) → (B,)."""
    held = targets.amax(dim=(2, 3))
    return (values * held).sum(dim=1) / held.sum(dim=1).clamp_min(1)


def _missed(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Compute 1 − Dice of each mask, (B, K, h, w) twice → (B, K)."""
    overlap = (probabilities * targets).sum(dim=(2, 3))
    total = probabilities.sum(dim=(2, 3)) + targets.sum(dim=(2, 3))
    return 1 - (2 * overlap + 1) / (total + 1)


def matched_loss(class_logits: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """Compute the loss of classified embeddings and their masks, mean over images.

    From SegViT: cross-entropy of the classified embeddings, and focal and dice loss of the masks of classes in the
    image, with its authors' weights. Ours: masks are compared on their own grid, on labelled cells only. Without this
    loss, two embeddings may end up sharing two classes, which the loss of the final map cannot separate.

    Args:
        class_logits: (B, K, K + 1), the last for classes that are not in the image.
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
    """Compute the binary cross-entropy between the highest probability of each class, over labelled cells, and whether
    the image contains the class. Ours. (B, K, h, w), (B, H, W) → ().
    """
    targets, labelled = _class_targets(subsample(labels, logits.shape[-2:]), num_classes=logits.shape[1])
    peaks = (logits.float().softmax(dim=1) * labelled).amax(dim=(2, 3)).clamp(1e-6, 1 - 1e-6)
    held = targets.amax(dim=(2, 3))
    # Written out, since autocast does not allow binary_cross_entropy.
    return -(held * peaks.log() + (1 - held) * (1 - peaks).log()).mean()


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the Lovász-softmax loss, a surrogate of 1 − IoU, averaged over the classes in each image and over images.

    It is the Lovász extension of 1 − IoU (Berman, Triki, Blaschko, CVPR 2018): equal to 1 − IoU if all probabilities
    are 0 or 1, and convex in the errors in between. Unlike cross-entropy, it gives more weight to the pixels of small
    classes. It is computed on the grid of the logits, since each class sorts all its pixels.

    (B, K, h, w), (B, H, W) → ().
    """
    targets, labelled = _class_targets(subsample(labels, logits.shape[-2:]), num_classes=logits.shape[1])
    errors = (targets - logits.float().softmax(dim=1) * labelled).abs().flatten(2)
    errors, order = errors.sort(dim=2, descending=True)
    own = targets.flatten(2).gather(2, order)
    pixels = own.sum(dim=2, keepdim=True)
    # 1 − IoU if only the first, the first two, ... of the sorted pixels were wrong.
    missed, added = own.cumsum(dim=2), (1 - own).cumsum(dim=2)
    jaccard = 1 - (pixels - missed) / (pixels + added).clamp_min(1)
    steps = jaccard.diff(dim=2, prepend=torch.zeros_like(pixels))
    return _mean_of_held((errors * steps).sum(dim=2), targets).mean()


def balanced_class_weights(pixels: Tensor, *, balance: float) -> Tensor:
    """Return class weights ∝ frequency^−balance with mean 1 over all pixels; classes without pixels get the largest.

    Args:
        pixels: (K,) labelled pixels of each class.
        balance: 0 weights all pixels equally, 1 all classes.
    """
    frequency = pixels.double() / pixels.sum()
    weights = frequency.clamp_min(frequency[frequency > 0].min()) ** -balance
    return (weights / (weights * frequency).sum()).float()


def subsample(labels: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Return the label at the centre of each cell: (B, H, W) → (B, *size)."""
    if labels.shape[-2:] == tuple(size):
        return labels
    return F.interpolate(labels[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0].long()
