"""Attention-to-Mask (ATM): class embeddings attend to the features, and the attention scores are their masks.

From SegViT (arXiv 2210.05844, section 3.2).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FFN_RATIO = 4
"""Hidden width of a layer's feed-forward network as a multiple of D, as in the authors' code."""


class ScoredAttention(nn.Module):
    """Multi-head attention that also returns its scores before the softmax."""

    def __init__(self, *, embed_dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.project = nn.Linear(embed_dim, embed_dim)

    def forward(self, embeddings: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Attend from (B, K, D) embeddings to (B, N, D) tokens; returns (B, K, D) and the mean scores over heads
        (B, K, N)."""
        query, key, value = self.query(embeddings), self.key(tokens), self.value(tokens)
        # Heads split D, so the sum of their scores is an inner product over all of D.
        head_dim = query.shape[-1] // self.num_heads
        scores = query @ key.mT * (head_dim**-0.5 / self.num_heads)
        read = F.scaled_dot_product_attention(
            self._heads(query), self._heads(key), self._heads(value), dropout_p=self.dropout if self.training else 0.0
        )
        return self.project(read.transpose(1, 2).flatten(2)), scores

    def _heads(self, rows: Tensor) -> Tensor:
        """Split the heads, (B, N, D) → (B, heads, N, D / heads)."""
        return rows.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class MaskLayer(nn.Module):
    """A post-norm transformer decoder layer: embeddings attend to each other, then to the features."""

    def __init__(self, *, embed_dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.among = ScoredAttention(embed_dim=embed_dim, num_heads=num_heads, dropout=dropout)
        self.among_norm = nn.LayerNorm(embed_dim)
        self.read = ScoredAttention(embed_dim=embed_dim, num_heads=num_heads, dropout=dropout)
        self.read_norm = nn.LayerNorm(embed_dim)
        self.ffn = nn.Sequential(
            nn.Linear(embed_dim, FFN_RATIO * embed_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(FFN_RATIO * embed_dim, embed_dim),
        )
        self.ffn_norm = nn.LayerNorm(embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Tensor, tokens: Tensor, *, read: bool = True) -> tuple[Tensor, Tensor]:
        """Update (B, K, D) embeddings with (B, N, D) tokens; returns embeddings (B, K, D) and scores (B, K, N).

        Knock-out: without `read`, nothing of the tokens is added to the embeddings; the scores are still computed.
        """
        embeddings = self.among_norm(embeddings + self.dropout(self.among(embeddings, embeddings)[0]))
        taken, scores = self.read(embeddings, tokens)
        embeddings = self.read_norm(embeddings + self.dropout(taken) if read else embeddings)
        return self.ffn_norm(embeddings + self.dropout(self.ffn(embeddings))), scores


class AttentionToMask(nn.Module):
    """A stage: several layers; the scores of the last one are the masks of the stage."""

    def __init__(self, *, embed_dim: int, num_heads: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MaskLayer(embed_dim=embed_dim, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )

    def forward(self, embeddings: Tensor, features: Tensor, *, read: bool = True) -> tuple[Tensor, Tensor]:
        """Update (B, K, D) embeddings with (B, D, h, w) features; returns embeddings (B, K, D) and scores (B, K, h, w).

        Knock-out as in `MaskLayer`, in every layer.
        """
        tokens = features.flatten(2).mT
        for layer in self.layers:
            embeddings, scores = layer(embeddings, tokens, read=read)
        return embeddings, scores.unflatten(2, features.shape[-2:])


def semantic_logits(class_logits: Tensor, masks: Tensor) -> Tensor:
    """Combine masks and classified embeddings to a map for each class: log Σ_q P(class k | q) · σ(mask of q).

    Args:
        class_logits: (B, Q, K + 1) classification of each embedding; the last column is "not in this image".
        masks: (B, Q, h, w) logits.
    Returns: (B, K, h, w) float32.
    """
    with torch.autocast(masks.device.type, enabled=False):
        return combined_masks(class_shares(class_logits), masks)


def class_shares(class_logits: Tensor, *, without: Sequence[int] = ()) -> Tensor:
    """Return P(class k | q), (B, Q, K + 1) logits → (B, Q, K) float32, with 0 for the classes `without`."""
    shares = class_logits.float().softmax(dim=-1)[..., :-1]
    if not without:
        return shares
    kept = torch.ones(shares.shape[-1], device=shares.device)
    kept[list(without)] = 0
    return shares * kept


def combined_masks(shares: Tensor, masks: Tensor) -> Tensor:
    """Compute log Σ_q shares of q · σ(mask of q) from (B, Q, K) shares and (B, Q, h, w) logits: (B, K, h, w) float32.

    The sum is the authors'; the logarithm is ours, so that a softmax over classes normalises the sums. The authors
    compute it at the image's size after resizing each mask; on the grid, pixels at borders differ.
    """
    sums = torch.einsum("bqk,bqhw->bkhw", shares, masks.float().sigmoid())
    return sums.clamp_min(torch.finfo(torch.float32).tiny).log()
