"""Semantics Attention & Updater (SAU) in our design: features attend to the class embeddings, and the resulting mask
updates them.

The authors' release has several heads, attention over negated scores, and a gated addition instead of a mix; see
`NegatedAttention` and `GatedAddition` in `ecenet/model/layers/release_parts.py`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.model.config import Attention, Updater
from ecenet.model.edits import silenced
from ecenet.model.layers.class_extraction import masked_mean
from ecenet.model.layers.release_parts import GatedAddition, negated_scores


class SemanticsAttention(nn.Module):
    """Attention of features to class embeddings, which also returns the similarity map, the mask of the stage.

    From the abstract: features interact with class embeddings in an attention, and masks are its by-product. Ours: a
    single head with a softmax over classes, queries that include the features of the deeper stage, and a mask that is
    added to that of the deeper stage. The query projection is folded into that of the keys, and the output projection
    into that of the values, which leaves K·D multiplications per cell.

    With `kind` negated, the softmax is that of the authors' release, over max(s) − s for similarities s.
    """

    def __init__(self, *, width: int, embed_dim: int, ffn_ratio: float, kind: Attention = "plain") -> None:
        super().__init__()
        self.kind = kind
        hidden = int(width * ffn_ratio)
        self.scale = width**-0.5
        self.query_norm = LayerNorm2d(width)
        # A bias would add the same number to all classes of a cell, which does not change a softmax over classes.
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
        """Compute enhanced features (B, C, h, w) and the similarity (B, K, h, w) from (B, C, h, w) features and (B, K,
        D) embeddings.

        Args:
            mask: (B, K, h, w) mask logits of the deeper stage, to which the scores are added.
            read: if False, nothing of the embeddings is added to the features (knock-out).
            without: classes that are excluded from the attention. Neither of the two changes the similarity.
        """
        similarity = dot_product(self.query_norm(features), self.key(embeddings) * self.scale, plus=mask)
        if read:
            scores = negated_scores(similarity, dim=1) if self.kind == "negated" else similarity
            attention = silenced(scores, without).softmax(dim=1)
            features = plus_weighted_sum(features, attention, self.value(embeddings))
        enhanced = self.norm(features)
        return enhanced + self.ffn(enhanced), similarity


class EmbeddingUpdater(nn.Module):
    """Update of class embeddings with the features under the stage's mask.

    From the abstract: masks enhance the embeddings through a gate, which is reported to be better than an addition. The
    formula is ours, a convex combination with the mask-weighted mean of the enhanced features as candidate C:
    g = σ(W[E; C]), E ← norm(g·E + (1−g)·W_c C). A gate of 1 keeps the old embedding. In the authors' release, the
    candidate is computed from the mask only and is added, multiplied by the gate: a gate of 1 adds all of it. The mode
    gated_addition is that formula (`GatedAddition`) with W_c C as the mask's evidence.
    """

    def __init__(
        self, *, width: int, embed_dim: int, mode: Updater, norm_bias: bool = True, gate_bias: float = 0.0
    ) -> None:
        """Create the layers.

        Args:
            width: channels of the pooled features.
            gate_bias: see `ModelConfig`.
        """
        super().__init__()
        self.mode = mode
        if mode != "off":
            self.candidate = nn.Linear(width, embed_dim)
        if mode in ("added", "gated"):
            self.norm = nn.LayerNorm(embed_dim, bias=norm_bias)
        if mode == "gated":
            self.gate = nn.Linear(embed_dim + width, embed_dim)
            self.gate.bias.data += gate_bias
        elif mode == "gated_addition":
            self.addition = GatedAddition(embed_dim=embed_dim)
            self.addition.gate_norm.bias.data -= gate_bias  # a gate of 0 adds nothing

    def forward(
        self, embeddings: Tensor, features: Tensor, similarity: Tensor, *, gate: float | Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Update the embeddings.

        Args:
            embeddings: (B, K, D).
            features: (B, C, h, w) enhanced features, possibly of a coarser stage, to whose grid the mask is then
                averaged.
            similarity: (B, K, H, W) mask logits of the stage.
            gate: forced gate, broadcastable to (B, K, D), with values in [0, 1]; only for modes with a gate.
        Returns: updated embeddings (B, K, D), and the gate (B, K, D) or None.
        """
        if self.mode == "off":
            return embeddings, None
        with torch.autocast(features.device.type, enabled=False):
            mask = similarity.float().softmax(dim=1)
            if mask.shape[-2:] != features.shape[-2:]:
                mask = F.adaptive_avg_pool2d(mask, (features.shape[-2], features.shape[-1]))
            pooled = masked_mean(features.float(), mask)
        candidate = self.candidate(pooled)
        if self.mode == "gated_addition":
            return self.addition(embeddings, candidate, gate=gate)
        if self.mode == "added":
            return self.norm(embeddings + candidate), None
        if gate is None:
            gate = torch.sigmoid(self.gate(torch.cat([embeddings, pooled], dim=-1)))
        elif not isinstance(gate, Tensor):
            gate = embeddings.new_tensor(gate)
        return self.norm(gate * embeddings + (1 - gate) * candidate), gate.expand_as(embeddings)


def dot_product(features: Tensor, embeddings: Tensor, *, plus: Tensor | None = None) -> Tensor:
    """Compute the inner product of every cell with every class, plus an optional addend.

    (B, D, h, w), (B, K, D), (B, K, h, w) → (B, K, h, w), channels last.
    """
    cells, rows = features.flatten(2).mT, embeddings.mT
    products = torch.bmm(cells, rows) if plus is None else torch.baddbmm(plus.flatten(2).mT, cells, rows)
    return products.mT.unflatten(2, features.shape[-2:])


def plus_weighted_sum(features: Tensor, weights: Tensor, vectors: Tensor) -> Tensor:
    """Add the weighted sum of vectors to the feature of every cell: (B, C, h, w), (B, K, h, w), (B, K, C) → (B, C, h,
    w), channels last.

    A single matrix product is used, since einsum's result has another memory layout than the features, which makes the
    addition several times slower.
    """
    cells = torch.baddbmm(features.flatten(2).mT, weights.flatten(2).mT, vectors)
    return cells.mT.unflatten(2, features.shape[-2:])
