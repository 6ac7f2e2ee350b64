"""Supervised contrastive loss on class embeddings, which pulls the embeddings of a class in different photos together.

The loss is ours for ECENet: neither the abstract, the authors' release nor SegViT has it. Its form is that of Khosla et
al., "Supervised Contrastive Learning" (NeurIPS 2020), with class embeddings of photos instead of augmented views.

It compares photos with each other and is therefore not a sum over photos. If a batch is split, over processes or into
accumulated parts, photos are compared within a part only. For a single photo the loss is 0.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.model.outputs import ECENetOutput

TEMPERATURE = 0.1
"""Temperature of the cosine similarities."""
MIN_SHARE = 0.01
"""Minimum share of a crop's pixels for the embedding of a class to take part."""


def stage_contrast(output: ECENetOutput, labels: Tensor) -> Tensor:
    """Compute the mean of `contrastive_loss` over all stages except `final`, which has no embeddings of its own.

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
    """Return which classes cover at least `min_share` of each crop: (B, H, W) → (B, K) bool."""
    flat = labels.flatten(1)
    counts = torch.zeros(len(flat), 256, device=labels.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
    return counts[:, :num_classes] >= min_share * flat.shape[1]


def contrastive_loss(embeddings: Tensor, held: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Compute the supervised contrastive loss of class embeddings.

    For each embedding, it is −log of the softmax over its cosines with all others, divided by `temperature`, averaged
    over the embeddings of its class in other photos.

    Args:
        embeddings: (B, K, D).
        held: (B, K) bool, the classes that each photo contains; only their embeddings take part.
    Returns: (), mean over the embeddings whose class occurs in another photo; 0 if there are none.
    """
    photos, classes = held.nonzero(as_tuple=True)
    alike = (classes[:, None] == classes) & (photos[:, None] != photos)
    matches = alike.sum(dim=1)
    if not matches.any():  # also avoids a softmax over nothing
        return embeddings.new_zeros((), dtype=torch.float32)
    with torch.autocast(embeddings.device.type, enabled=False):
        vectors = F.normalize(embeddings[photos, classes].float(), dim=1)
        scores = vectors @ vectors.T / temperature
    scores = scores.masked_fill(torch.eye(len(scores), dtype=torch.bool, device=scores.device), -torch.inf)
    log_shares = scores - scores.logsumexp(dim=1, keepdim=True)
    losses = -log_shares.where(alike, 0).sum(dim=1) / matches.clamp_min(1)
    return losses.sum() / (matches > 0).sum()
