"""Attention-to-Mask (ATM): class embeddings read the features, and what they attend to is their mask.

From SegViT (arXiv 2210.05844, section 3.2).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FFN_RATIO = 4
"""Hidden width of a layer's feed-forward network, as a multiple of D, as the authors have it."""


class ScoredAttention(nn.Module):
    """Multi-head attention that also returns its scores from before the softmax."""

    def __init__(self, *, embed_dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.project = nn.Linear(embed_dim, embed_dim)

    def forward(self, embeddings: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What (B, K, D) embeddings read of (B, N, D) tokens → (B, K, D), and the scores' mean over heads (B, K, N)."""
        query, key, value = self.query(embeddings), self.key(tokens), self.value(tokens)
        # Heads split D, so that their scores add up to one inner product over all of it.
        head_dim = query.shape[-1] // self.num_heads
        scores = query @ key.mT * (head_dim**-0.5 / self.num_heads)
        read = F.scaled_dot_product_attention(
            self._heads(query), self._heads(key), self._heads(value), dropout_p=self.dropout if self.training else 0.0
        )
        return self.project(read.transpose(1, 2).flatten(2)), scores

    def _heads(self, rows: Tensor) -> Tensor:
        """(B, N, D) → (B, heads, N, D / heads)."""
        return rows.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class MaskLayer(nn.Module):
    """A layer of a transformer decoder: embeddings attend to each other, then to the features; norms come last."""

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
        """(B, K, D) embeddings, (B, N, D) tokens → embeddings (B, K, D), scores (B, K, N).

        Knock-out: with `read` off nothing of the tokens is added to the embeddings; the scores are computed all the
        same.
        """
        embeddings = self.among_norm(embeddings + self.dropout(self.among(embeddings, embeddings)[0]))
        taken, scores = self.read(embeddings, tokens)
        embeddings = self.read_norm(embeddings + self.dropout(taken) if read else embeddings)
        return self.ffn_norm(embeddings + self.dropout(self.ffn(embeddings))), scores


class AttentionToMask(nn.Module):
    """One stage: layers in turn; the last one's scores are the stage's masks."""

    def __init__(self, *, embed_dim: int, num_heads: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MaskLayer(embed_dim=embed_dim, num_heads=num_heads, dropout=dropout) for _ in range(num_layers)
        )

    def forward(self, embeddings: Tensor, features: Tensor, *, read: bool = True) -> tuple[Tensor, Tensor]:
        """(B, K, D) embeddings, (B, D, h, w) features → embeddings (B, K, D), scores (B, K, h, w).

        Knock-out as for `MaskLayer`, in every layer.
        """
        tokens = features.flatten(2).mT
        for layer in self.layers:
            embeddings, scores = layer(embeddings, tokens, read=read)
        return embeddings, scores.unflatten(2, features.shape[-2:])


def semantic_logits(class_logits: Tensor, masks: Tensor) -> Tensor:
    """Masks and what their embeddings are taken for become one map a class: log Σ_q P(class k | q) · σ(mask of q).

    Args:
        class_logits: (B, Q, K + 1) of each embedding; the last column stands for "not in this image".
        masks: (B, Q, h, w) logits.
    Returns: (B, K, h, w) float32.
    """
    with torch.autocast(masks.device.type, enabled=False):
        return combined_masks(class_shares(class_logits), masks)


def class_shares(class_logits: Tensor, *, without: Sequence[int] = ()) -> Tensor:
    """P(class k | q): (B, Q, K + 1) logits → (B, Q, K) float32, 0 for the classes `without`."""
    shares = class_logits.float().softmax(dim=-1)[..., :-1]
    if not without:
        return shares
    kept = torch.ones(shares.shape[-1], device=shares.device)
    kept[list(without)] = 0
    return shares * kept


def combined_masks(shares: Tensor, masks: Tensor) -> Tensor:
    """log Σ_q shares of q · σ(mask of q): (B, Q, K), (B, Q, h, w) logits → (B, K, h, w) float32.

    The sum is the authors'; its logarithm is ours, so that a softmax over classes has its shares as probabilities. They
    take it at the image's size, to which each mask is brought first; on the grid, pixels at borders differ.
    """
    sums = torch.einsum("bqk,bqhw->bkhw", shares, masks.float().sigmoid())
    return sums.clamp_min(torch.finfo(torch.float32).tiny).log()
