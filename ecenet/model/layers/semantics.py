"""Semantics Attention & Updater (SAU), in our own design: features read the class embeddings, the emerging mask
rewrites them.

The authors' release has several heads, attention over negated scores and a gated addition instead of a mix: see
`NegatedAttention` and `GatedAddition` in `ecenet/model/layers/release_parts.py`.
"""

from collections.abc import Sequence

import torch
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.model.config import Updater
from ecenet.model.edits import silenced
from ecenet.model.layers.class_extraction import masked_mean


class SemanticsAttention(nn.Module):
    """Features attend to class embeddings; the similarity map is returned, since it is the stage's mask.

    The abstract's: that features interact with class embeddings in an attention, and that masks are its by-product.
    Ours: one head with an ordinary softmax over classes, queries that already hold the deeper stage's features, a mask
    that adds to the deeper stage's. The query projection is folded into the keys' and the output projection into the
    values': with far more cells than classes this leaves only K·D multiplications a cell.
    """

    def __init__(self, *, width: int, embed_dim: int, ffn_ratio: float) -> None:
        super().__init__()
        hidden = int(width * ffn_ratio)
        self.scale = width**-0.5
        self.query_norm = LayerNorm2d(width)
        # A bias would add one number to all classes of a cell, which no softmax over classes can see.
        self.key = nn.Linear(embed_dim, width, bias=False)
        self.value = nn.Linear(embed_dim, width)
        self.norm = LayerNorm2d(width)
        self.ffn = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Conv2d(width, hidden, 1),
            nn.GELU(),
            nn.Conv2d(hidden, width, 1),
        )

    def forward(
        self,
        features: Tensor,
        embeddings: Tensor,
        *,
        mask: Tensor | None = None,
        read: bool = True,
        without: Sequence[int] = (),
    ) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) features, (B, K, D) embeddings → enhanced (B, C, h, w), similarity (B, K, h, w).

        Args:
            mask: (B, K, h, w) mask logits of the deeper stage, to which this one's scores are added.
            read: off, no embedding's value is added to the features: a knock-out.
            without: classes that are not read. Neither of the two changes the similarity.
        """
        similarity = dot_product(self.query_norm(features), self.key(embeddings) * self.scale, plus=mask)
        if read:
            attention = silenced(similarity, without).softmax(dim=1)
            features = plus_weighted_sum(features, attention, self.value(embeddings))
        enhanced = self.norm(features)
        return enhanced + self.ffn(enhanced), similarity


class EmbeddingUpdater(nn.Module):
    """Rewrite class embeddings with what lies under the stage's mask.

    The abstract's: that masks enhance the embeddings, through a gate, which is said to be better than an addition. Ours
    is the formula, a convex mix whose candidate C is the mask-weighted mean of the enhanced features:
    g = σ(W[E; C]), E ← norm(g·E + (1−g)·W_c C). A gate of 1 keeps the old embedding. In the authors' release the
    candidate is made of the mask alone and is added as far as the gate lets it in: a gate of 1 adds all of it.
    """

    def __init__(self, *, width: int, embed_dim: int, mode: Updater, norm_bias: bool = True) -> None:
        super().__init__()
        self.mode = mode
        if mode != "off":
            self.candidate = nn.Linear(width, embed_dim)
            self.norm = nn.LayerNorm(embed_dim, bias=norm_bias)
        if mode == "gated":
            self.gate = nn.Linear(embed_dim + width, embed_dim)

    def forward(
        self, embeddings: Tensor, features: Tensor, similarity: Tensor, *, gate: float | Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Args:
            embeddings: (B, K, D).
            features: (B, C, h, w) enhanced features.
            similarity: (B, K, h, w) the stage's mask logits.
            gate: forces the gate; broadcastable to (B, K, D), values in [0, 1]. Only where the mode is gated.
        Returns: updated embeddings (B, K, D) and the gate (B, K, D), None unless the mode is gated.
        """
        if self.mode == "off":
            return embeddings, None
        with torch.autocast(features.device.type, enabled=False):
            pooled = masked_mean(features.float(), similarity.float().softmax(dim=1))
        candidate = self.candidate(pooled)
        if self.mode == "added":
            return self.norm(embeddings + candidate), None
        if gate is None:
            gate = torch.sigmoid(self.gate(torch.cat([embeddings, pooled], dim=-1)))
        elif not isinstance(gate, Tensor):
            gate = embeddings.new_tensor(gate)
        return self.norm(gate * embeddings + (1 - gate) * candidate), gate.expand_as(embeddings)


def dot_product(features: Tensor, embeddings: Tensor, *, plus: Tensor | None = None) -> Tensor:
    """Inner product of every cell with every class, and what is added to it.

    (B, D, h, w), (B, K, D), (B, K, h, w) → (B, K, h, w), channels last.
    """
    cells, rows = features.flatten(2).mT, embeddings.mT
    products = torch.bmm(cells, rows) if plus is None else torch.baddbmm(plus.flatten(2).mT, cells, rows)
    return products.mT.unflatten(2, features.shape[-2:])


def plus_weighted_sum(features: Tensor, weights: Tensor, vectors: Tensor) -> Tensor:
    """Every cell's feature and the sum of the vectors with its weights: (B, C, h, w), (B, K, h, w), (B, K, C) → (B, C,
    h, w), channels last.

    As one product of matrices, since einsum's answer lies otherwise in memory than features do, and adding them takes
    several times as long.
    """
    cells = torch.baddbmm(features.flatten(2).mT, weights.flatten(2).mT, vectors)
    return cells.mT.unflatten(2, features.shape[-2:])
