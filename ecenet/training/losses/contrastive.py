"""Supervised contrastive loss on class embeddings: those of one class are to be alike in every photo. Ours.

The form is that of Khosla et al., "Supervised Contrastive Learning" (NeurIPS 2020), with a class embedding of a photo
in the place of an augmented view. Neither ECENet's abstract nor its authors' release nor SegViT's has it.

It compares photos with each other, so that it is no sum over photos: where a batch is split, over processes or into
accumulated parts, photos are compared within a part alone. One photo at once has nothing to be compared with.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.model.outputs import ECENetOutput

TEMPERATURE = 0.1
"""Of the cosines."""
MIN_SHARE = 0.01
"""Of a crop's pixels; the embedding of a class that covers less is of too little to be compared."""


def stage_contrast(output: ECENetOutput, labels: Tensor) -> Tensor:
    """Mean over all stages but `final`, whose embeddings are those of the stage before it, of `contrastive_loss`.

    Args:
        labels: (B, H, W) int64 class indices, 255 = ignore.
    Returns: ().
    """
    held = held_classes(labels, num_classes=output.logits.shape[1])
    stages = [stage for name, stage in output.stages.items() if name != "final"]
    contrast = output.logits.new_zeros((), dtype=torch.float32)
    for stage in stages:
        contrast = contrast + contrastive_loss(stage.embeddings_after, held)
    return contrast / len(stages)


def held_classes(labels: Tensor, *, num_classes: int, min_share: float = MIN_SHARE) -> Tensor:
    """Which classes cover at least `min_share` of each crop: (B, H, W) → (B, K) bool."""
    flat = labels.flatten(1)
    counts = torch.zeros(len(flat), 256, device=labels.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
    return counts[:, :num_classes] >= min_share * flat.shape[1]


def contrastive_loss(embeddings: Tensor, held: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """How far class embeddings are from being nearest to those of their own class in other photos.

    For each embedding, −log of the softmax over its cosines with all others, divided by `temperature`; the mean over
    the embeddings of its class in other photos.

    Args:
        embeddings: (B, K, D).
        held: (B, K) bool, the classes that each photo shows; only their embeddings take part.
    Returns: (), mean over the embeddings whose class another photo shows, too; 0 where there is none.
    """
    photos, classes = held.nonzero(as_tuple=True)
    alike = (classes[:, None] == classes) & (photos[:, None] != photos)
    matches = alike.sum(dim=1)
    if not matches.any():  # also where softmax would have nothing to be over
        return embeddings.new_zeros((), dtype=torch.float32)
    with torch.autocast(embeddings.device.type, enabled=False):
        vectors = F.normalize(embeddings[photos, classes].float(), dim=1)
        scores = vectors @ vectors.T / temperature
    scores = scores.masked_fill(torch.eye(len(scores), dtype=torch.bool, device=scores.device), -torch.inf)
    log_shares = scores - scores.logsumexp(dim=1, keepdim=True)
    losses = -log_shares.where(alike, 0).sum(dim=1) / matches.clamp_min(1)
    return losses.sum() / (matches > 0).sum()
