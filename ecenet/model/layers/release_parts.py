"""Layers of the authors' release of ECENet (MindSpore, 2023).

All formulas are those of the authors' release, tested against numbers of an independent transcription
(`tests/model/test_release_fixture.py`), unless a docstring says that they are an assumption or ours. K is the number of
classes, D the width of embeddings, B the batch size, h×w the grid of a stage.
"""

from collections.abc import Sequence
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecenet.model.edits import silenced

POOL_GRIDS = (1, 2, 3, 6)
"""Side lengths of the grids to which Explicit Class Extraction pools masks, besides the m×m grid that depends on K."""
FFN_RATIO = 4
"""Hidden width of a stage's feed-forward network, as a multiple of D."""
NORM_EPSILON = 1e-5
"""Epsilon of every layer norm; timm's default is 1e-6."""


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=NORM_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ReleaseReconstruction(nn.Module):
    """Feature Reconstruction at the backbone's width C: an intrinsic and a diverse branch of C/2 channels each.

    The diverse branch is a depthwise 3×3 convolution of the intrinsic one, with channels scaled by two linear layers of
    their spatial means, without a sigmoid.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.intrinsic = nn.Sequential(nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half))
        self.diverse = nn.Sequential(nn.Conv2d(half, half, 3, padding=1, groups=half), nn.BatchNorm2d(half))
        self.channel_weights = nn.Sequential(
            nn.Linear(half, half // 2, bias=False), nn.ReLU(), nn.Linear(half // 2, half, bias=False)
        )
        self.combine = nn.Conv2d(2 * half, channels, 1, bias=False)
        self.norm = ChannelNorm(channels)

    def forward(self, features: Tensor, *, diversify: bool = True) -> tuple[Tensor, Tensor]:
        """Compute the reconstructed features (B, C, h, w) and the scaled diverse part (B, C/2, h, w) from (B, C, h, w).

        Knock-out: without `diversify`, the diverse part is zero.
        """
        intrinsic = self.intrinsic(features)
        diverse = self.diverse(intrinsic)
        diverse = diverse * self.channel_weights(diverse.mean(dim=(2, 3)))[:, :, None, None]
        if not diversify:
            diverse = torch.zeros_like(diverse)
        return self.norm(self.combine(torch.cat([diverse, intrinsic], dim=1))), diverse


def diversity_map(diverse: Tensor) -> Tensor:
    """Compute the map of the authors' release for the diversity loss: the softmax over positions of each channel, then
    the maximum over channels at each position. (B, C, h, w) → (B, h·w) float32."""
    return diverse.float().flatten(2).softmax(dim=2).amax(dim=1)


def position_diversity_loss(diverse: Tensor) -> Tensor:
    """Compute 1 − Σ_positions of the diversity map / C: 0 if each of C channels is concentrated on a cell of its own,
    1 − 1/C if all are equal. (B, C, h, w) → (), mean over images.

    The formula is our assumption: the release names the loss and computes the map, but does not contain the formula.
    """
    return (1 - diversity_map(diverse).sum(dim=1) / diverse.shape[1]).mean()


def mask_grid(num_classes: int) -> int:
    """Return the side m of the finest grid to which masks are pooled: ⌊√K⌋, plus 1 if that is even."""
    side = isqrt(num_classes)
    return side + 1 if side % 2 == 0 else side


class MaskExtraction(nn.Module):
    """Explicit Class Extraction of the release: a class embedding is a linear map of the pyramid of its mask logits.

    It uses no features and no normalisation, and the map is the same for all classes.
    """

    def __init__(self, *, num_classes: int, embed_dim: int) -> None:
        super().__init__()
        self.grids = (*POOL_GRIDS, mask_grid(num_classes))
        self.project = nn.Linear(sum(side * side for side in self.grids), embed_dim)

    def forward(self, mask_logits: Tensor) -> Tensor:
        """Compute embeddings from mask logits, (B, K, h, w) → (B, K, D)."""
        cells = mask_logits.float()  # means over thousands of cells need fp32, regardless of autocast
        pooled = [F.adaptive_avg_pool2d(cells, side).flatten(2) for side in self.grids]
        return self.project(torch.cat(pooled, dim=2))


def negated_scores(scores: Tensor, *, dim: int) -> Tensor:
    """Return max − s over the classes in `dim`, which is higher for less similar classes."""
    return scores.amax(dim=dim, keepdim=True) - scores


class NegatedAttention(nn.Module):
    """Multi-head attention of features to class embeddings with negated scores. The mean of the raw scores over heads
    is the mask of the stage. The attention is softmax_K(max_K s − s), with the largest weights for the least similar
    classes."""

    def __init__(self, *, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Sequential(
            nn.Conv2d(embed_dim, embed_dim, 3, padding=1, groups=embed_dim), nn.Conv2d(embed_dim, embed_dim, 1)
        )
        self.key_value = nn.Linear(embed_dim, 2 * embed_dim, bias=False)
        self.project = nn.Conv2d(embed_dim, embed_dim, 1)

    def forward(self, features: Tensor, embeddings: Tensor, *, without: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """Attend from (B, D, h, w) features to (B, K, D) embeddings; returns the attention output (B, D, h, w) and the
        mask (B, K, h, w).

        Args:
            without: classes that are excluded from the attention. The mask does not change.
        """
        grid = features.shape[-2:]
        query = self.query(features).flatten(2).unflatten(1, (self.num_heads, -1))  # (B, heads, D/heads, h·w)
        key, value = self.key_value(embeddings).unflatten(2, (2 * self.num_heads, -1)).transpose(1, 2).chunk(2, dim=1)
        scores = key @ query * key.shape[-1] ** -0.5  # (B, heads, K, h·w)
        negated = negated_scores(scores, dim=2)
        if without:
            negated = silenced(negated.flatten(0, 1)[..., None], without)[..., 0].view_as(negated)
        read = value.mT @ negated.softmax(dim=2)
        return self.project(read.flatten(1, 2).unflatten(2, grid)), scores.mean(dim=1).unflatten(2, grid)


class ReleaseStage(nn.Module):
    """Semantics attention of a stage: attention of normed laterals to normed embeddings, and a feed-forward network."""

    def __init__(self, *, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        hidden = FFN_RATIO * embed_dim
        self.norm = ChannelNorm(embed_dim)
        self.embedding_norm = nn.LayerNorm(embed_dim, eps=NORM_EPSILON)
        self.attention = NegatedAttention(embed_dim=embed_dim, num_heads=num_heads)
        self.ffn_norm = ChannelNorm(embed_dim)
        self.ffn = nn.Sequential(
            nn.Conv2d(embed_dim, hidden, 1),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.GELU(),
            nn.Conv2d(hidden, embed_dim, 1),
        )

    def forward(
        self, lateral: Tensor, embeddings: Tensor, *, read: bool = True, without: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor]:
        """Compute enhanced features (B, D, h, w) and the mask (B, K, h, w) from a (B, D, h, w) lateral and (B, K, D)
        embeddings.

        Args:
            read: if False, nothing of the embeddings is added to the features (knock-out).
            without: classes that are excluded from the attention. Neither of the two changes the mask.
        """
        taken, mask = self.attention(self.norm(lateral), self.embedding_norm(embeddings), without=without)
        features = lateral + taken if read else lateral
        return features + self.ffn(self.ffn_norm(features)), mask


class GatedAddition(nn.Module):
    """Updater of the release, which adds the gated evidence of a stage's mask.

    With T the embedding of the mask and (p, o) = W_d T: g = σ(LN(W_g(W_i E ⊙ p))), E ← ReLU(LN(W(g ⊙ LN(o) + E))).
    """

    def __init__(self, *, embed_dim: int) -> None:
        super().__init__()
        self.evidence = nn.Linear(embed_dim, 2 * embed_dim)
        self.input = nn.Linear(embed_dim, embed_dim)
        self.gate = nn.Linear(embed_dim, embed_dim)
        self.gate_norm = nn.LayerNorm(embed_dim, eps=NORM_EPSILON)
        self.evidence_norm = nn.LayerNorm(embed_dim, eps=NORM_EPSILON)
        self.output = nn.Linear(embed_dim, embed_dim)
        self.output_norm = nn.LayerNorm(embed_dim, eps=NORM_EPSILON)

    def forward(
        self, embeddings: Tensor, evidence: Tensor, *, gate: float | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Update (B, K, D) embeddings with (B, K, D) embeddings of the stage's mask; returns the updated ones (B, K, D)
        and the gate (B, K, D).

        Args:
            gate: forced gate, broadcastable to (B, K, D); 0 adds none of the mask's evidence, 1 all of it.
        """
        asked, offered = self.evidence(evidence).chunk(2, dim=-1)
        if gate is None:
            gate = torch.sigmoid(self.gate_norm(self.gate(self.input(embeddings) * asked)))
        elif not isinstance(gate, Tensor):
            gate = embeddings.new_tensor(gate)
        added = gate * self.evidence_norm(offered)
        return F.relu(self.output_norm(self.output(added + embeddings))), gate.expand_as(embeddings)


class GhostUpsample(nn.Module):
    """Upsampling by 2: a 1×1 convolution to 2D and a depthwise 3×3 convolution of that, concatenated, and pixel
    shuffle."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.primary = _conv_norm_relu(width, 2 * width, 1)
        self.cheap = _conv_norm_relu(2 * width, 2 * width, 3, groups=2 * width)

    def forward(self, features: Tensor) -> Tensor:
        """Upsample (B, D, h, w) to (B, D, 2h, 2w)."""
        primary = self.primary(features)
        return F.pixel_shuffle(torch.cat([primary, self.cheap(primary)], dim=1), 2)


class ReleaseFusion(nn.Module):
    """Fusion of all stages, upsampled to the grid of the shallowest: (B, D, h, w) of each stage → (B, D, h, w)."""

    def __init__(self, *, width: int, stages: int) -> None:
        super().__init__()
        self.up = nn.ModuleList(
            nn.Sequential(*(GhostUpsample(width=width) for _ in range(steps))) for steps in range(1, stages)
        )
        self.project = _conv_norm_relu(stages * width, width, 3)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Fuse features, shallow to deep; each stage has half the rows and columns of the previous one."""
        grid = features[0].shape[-2:]
        deeper = [up(feature) for up, feature in zip(self.up, features[1:], strict=True)]
        deeper = [F.interpolate(one, size=grid, mode="bilinear", align_corners=False) for one in deeper]
        return self.project(torch.cat([features[0], *deeper], dim=1))


def _conv_norm_relu(into: int, out: int, kernel: int, *, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )
