"""One pixel, stage by stage: what each stage took it for, and which stage decided."""

from dataclasses import dataclass

import numpy as np

from ecenet.inference.prediction import Prediction, StagePrediction
from ecenet.inference.upsample import detail_size

WITHOUT_ATTENTION = ("ece", "final")
"""Stages that no SAU makes: their masks are not the similarity to the embeddings that the updater rewrites."""


@dataclass(frozen=True)
class PixelProbe:
    """What every stage says about one pixel. S stages, coarse to fine, K classes."""

    x: int
    y: int
    stages: tuple[str, ...]
    """S names."""
    classes: np.ndarray
    """(S,) the class that each stage's label map has here."""
    probabilities: np.ndarray
    """(S, K) float64; each row sums to 1, its highest is the stage's confidence here."""
    similarity: dict[str, np.ndarray]
    """SAU stage → (K,) similarity of the feature here to each class embedding, unnormalised."""
    gate: dict[str, np.ndarray]
    """Gated stage → (K,) mean gate of each class: 1 keeps its old embedding, 0 takes the mask's evidence; with
    `gate_adds` 1 adds all of the evidence, 0 none."""
    gate_adds: bool = False

    @property
    def decided(self) -> int:
        """Index of the first stage from which on the class is the final one and stays. Ours."""
        other = np.flatnonzero(self.classes != self.classes[-1])
        return int(other[-1]) + 1 if other.size else 0

    def ranked(self, *, most: int) -> list[int]:
        """The classes with the highest probability at any stage, highest first; those of the label maps among them."""
        return [int(k) for k in np.argsort(-self.probabilities.max(axis=0), kind="stable")[:most]]


def probe_pixel(prediction: Prediction, x: int, y: int) -> PixelProbe:
    """Look at one pixel of the photo, x in 0 … W-1 and y in 0 … H-1, at every stage.

    The stages' logits are interpolated for this pixel alone, in the way that the predictor does it for all.
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
    """(K,) of a pixel; of SegViT, log Σ_q share of q · σ(mask of q), where masks are interpolated."""
    if stage.masks is None or stage.class_shares is None:
        return _value_at(stage.mask_logits, x, y, size=size)
    covered = 1 / (1 + np.exp(-_value_at(stage.masks, x, y, size=size)))
    shares: np.ndarray = np.log(np.maximum(covered @ stage.class_shares, np.finfo(np.float32).tiny))
    return shares


def _value_at(maps: np.ndarray, x: int, y: int, *, size: tuple[int, int]) -> np.ndarray:
    """(K, h, w) at a pixel of the image → (K,): bilinear up to `detail_size`, repeated beyond it.

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
    """The two cells that a pixel lies between along one axis, and the weight of the second: pixels are areas, not
    points (align_corners=False). In float32, as torch computes it."""
    scale = np.float32(cells) / np.float32(pixels)
    place = max(scale * np.float32(position + 0.5) - np.float32(0.5), np.float32(0))
    first = min(int(place), cells - 1)
    return first, min(first + 1, cells - 1), np.float32(place - first)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """(K,) → (K,) float64, sums to 1."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()
