"""Inspect one pixel: the class predicted by every stage, and the stage that decided it."""

from dataclasses import dataclass

import numpy as np

from ecenet.inference.prediction import Prediction, StagePrediction
from ecenet.inference.upsample import detail_size

WITHOUT_ATTENTION = ("ece", "final")
"""Stages without a SAU; their masks are not similarities to the updated embeddings."""


@dataclass(frozen=True)
class PixelProbe:
    """Predictions for one pixel at S stages, coarse to fine, for K classes."""

    x: int
    y: int
    stages: tuple[str, ...]
    """Names of the S stages."""
    classes: np.ndarray
    """(S,) class in the label map of each stage."""
    probabilities: np.ndarray
    """(S, K) float64 class probabilities; the maximum of a row is the confidence of the stage."""
    similarity: dict[str, np.ndarray]
    """(K,) unnormalised similarity of the pixel's feature to each class embedding, by SAU stage."""
    gate: dict[str, np.ndarray]
    """(K,) mean gate of each class, by gated stage: 1 keeps the old embedding, 0 replaces it with the mask's evidence;
    with `gate_adds`, 1 adds all of the evidence and 0 none."""
    gate_adds: bool = False

    @property
    def decided(self) -> int:
        """Index of the first stage from which the class stays the final one. Not from the paper."""
        other = np.flatnonzero(self.classes != self.classes[-1])
        return int(other[-1]) + 1 if other.size else 0

    def ranked(self, *, most: int) -> list[int]:
        """Up to `most` classes by their highest probability at any stage, including those of the label maps."""
        return [int(k) for k in np.argsort(-self.probabilities.max(axis=0), kind="stable")[:most]]


def probe_pixel(prediction: Prediction, x: int, y: int) -> PixelProbe:
    """Inspect one pixel of the photo (x in 0 … W-1, y in 0 … H-1) at every stage.

    Logits are interpolated for this pixel only, exactly as in the predictor.
    """
    size = prediction.image.size
    logits = [_logits_at(stage, x, y, size=size) / stage.temperature for stage in prediction.stages.values()]
    return PixelProbe(
        x=x,
        y=y,
        stages=tuple(prediction.stages),
        classes=np.array([stage.label_map[y, x] for stage in prediction.stages.values()]),
        probabilities=np.stack([_softmax(values) for values in logits]),
        similarity={
            name: _value_at(stage.similarity, x, y, size=size)
            for name, stage in prediction.stages.items()
            if name not in WITHOUT_ATTENTION
        },
        gate={name: stage.gate.mean(axis=1) for name, stage in prediction.stages.items() if stage.gate is not None},
        gate_adds=prediction.gate_adds,
    )


def _logits_at(stage: StagePrediction, x: int, y: int, *, size: tuple[int, int]) -> np.ndarray:
    """(K,) logits of a pixel; for SegViT, log Σ_q p_q · σ(mask_q) with interpolated masks."""
    if stage.masks is None or stage.class_shares is None:
        return _value_at(stage.mask_logits, x, y, size=size)
    covered = 1 / (1 + np.exp(-_value_at(stage.masks, x, y, size=size)))
    shares: np.ndarray = np.log(np.maximum(covered @ stage.class_shares, np.finfo(np.float32).tiny))
    return shares


def _value_at(maps: np.ndarray, x: int, y: int, *, size: tuple[int, int]) -> np.ndarray:
    """(K,) values of (K, h, w) maps at a pixel of the image: bilinear up to `detail_size`, nearest beyond it.

    Args:
        size: the image's (width, height).
    """
    detail_height, detail_width = detail_size(size)
    top, bottom, down = _neighbours(y * detail_height // size[1], cells=maps.shape[1], pixels=detail_height)
    left, right, across = _neighbours(x * detail_width // size[0], cells=maps.shape[2], pixels=detail_width)
    upper = (1 - across) * maps[:, top, left] + across * maps[:, top, right]
    lower = (1 - across) * maps[:, bottom, left] + across * maps[:, bottom, right]
    return (1 - down) * upper + down * lower


def _neighbours(position: int, *, cells: int, pixels: int) -> tuple[int, int, np.float32]:
    """The two cells around a pixel along one axis, and the weight of the second (align_corners=False). Computed in
    float32 as in torch."""
    scale = np.float32(cells) / np.float32(pixels)
    place = max(scale * np.float32(position + 0.5) - np.float32(0.5), np.float32(0))
    first = min(int(place), cells - 1)
    return first, min(first + 1, cells - 1), np.float32(place - first)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax of (K,) logits in float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()
