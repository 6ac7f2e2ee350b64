"""Leakage and robustness of similarity maps, in comparison with maps of untrained heads: how much covering the map's
cells changes other classes, and how stable the map is under noise. Not from the paper.

A benchmark of attributions for segmentation (arXiv 2603.22624) also tests off-target leakage and robustness to
perturbations. Only the ideas are from its abstract; the formulae differ and results are not comparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ecenet.analysis.diagnostics.faithfulness import map_of, rank_correlation, with_random_head
from ecenet.analysis.interventions.regions import cell_shares
from ecenet.common.errors import UserError
from ecenet.inference.prediction import ImageFeatures, Prediction
from ecenet.inference.predictor import Predictor
from ecenet.inference.upsample import repeat_to
from ecenet.model.network import Network

HEADS = (0, 1, 2)
"""Seeds of untrained heads."""
NOISE = 8.0
"""Standard deviation of the noise, on a scale of 255; photos look slightly grainy."""
NOISY_PHOTOS = 3


@dataclass(frozen=True)
class Leakage:
    """Change of the final class probabilities when the highest cells of a map are covered, as mean total variation
    distance, 0 … 1. NaN for empty regions."""

    outside: float
    """Off-target change: outside the class's final mask and the covered cells."""
    inside: float
    """On-target change: inside the class's final mask."""


@dataclass(frozen=True)
class MapChecks:
    """Leakage and robustness of a map, and their means for maps of untrained heads on the same backbone."""

    leakage: Leakage
    untrained_leakage: Leakage
    robustness: float
    """Mean rank correlation of the map with maps of noisy photos, −1 … 1."""
    untrained_robustness: float

    @property
    def leaks_less(self) -> bool:
        return self.leakage.outside < self.untrained_leakage.outside

    @property
    def is_robust(self) -> bool:
        """Whether the map is at least as stable as those of untrained heads."""
        return self.robustness >= self.untrained_robustness


def check_map(
    predictor: Predictor, prediction: Prediction, *, stage: str, class_index: int, heads: Sequence[int] = HEADS
) -> MapChecks:
    """Check a class's similarity map at one stage; needs one backbone pass per head, plus `NOISY_PHOTOS` + 1.

    The cells with the highest similarity, as many as the class's final mask covers, are covered with the photo's mean
    colour as in `deletion_curve`. The trained network measures the change for all maps.

    Args:
        prediction: prediction of this predictor without edits.
        heads: seeds of the untrained heads.
    Raises:
        UserError: unknown stage or class, a class without pixels in the final mask, or no heads.
    """
    trained = map_of(predictor, prediction, stage, class_index)
    mask = prediction.label_map == class_index
    if not mask.any() or not heads:
        what = f"a class that the final mask holds, got {prediction.class_names[class_index]}, which it does not"
        raise UserError("not-enough-data", f"Expected {what if heads else 'a head or more, got none'}; choose another.")
    size = prediction.features.working_size
    noisy = [
        predictor.extract_features(with_noise(prediction.image, seed=seed), working_size=size)
        for seed in range(NOISY_PHOTOS)
    ]
    kept = [prediction.features, *noisy]
    own_maps = predictor.run(partial(_maps, head=None, stage=stage, class_index=class_index), kept)[1:]
    untrained = [predictor.run(partial(_maps, head=head, stage=stage, class_index=class_index), kept) for head in heads]
    before = predictor.run(_probabilities, [prediction.features])

    def leakage(similarity: np.ndarray) -> Leakage:
        cells = highest_cells(similarity, count=max(1, round(float(mask.mean()) * similarity.size)))
        covered = repeat_to(cells, prediction.image.size)
        features = predictor.extract_features(cover(prediction.image, covered), working_size=size)
        after = predictor.run(_probabilities, [features])
        return Leakage(
            outside=mean_change(before, after, where=~mask & ~covered), inside=mean_change(before, after, where=mask)
        )

    others = [leakage(maps[0]) for maps in untrained]
    stable = [rank_correlation(maps[0], one) for maps in untrained for one in maps[1:]]
    return MapChecks(
        leakage=leakage(trained),
        untrained_leakage=Leakage(_mean([one.outside for one in others]), _mean([one.inside for one in others])),
        robustness=_mean([rank_correlation(trained, one) for one in own_maps]),
        untrained_robustness=_mean(stable),
    )


def highest_cells(similarity: np.ndarray, *, count: int) -> np.ndarray:
    """(h, w) bool: the `count` cells of a map with the highest similarity; of equal cells, the first row by row."""
    cells = np.zeros(similarity.size, dtype=bool)
    cells[np.argsort(-similarity.ravel(), kind="stable")[:count]] = True
    return cells.reshape(similarity.shape)


def cover(image: Image.Image, pixels: np.ndarray) -> Image.Image:
    """The photo with the pixels (H, W) bool covered in its mean colour."""
    shown = np.asarray(image)
    mean = shown.mean(axis=(0, 1)).round().astype(np.uint8)
    return Image.fromarray(np.where(pixels[..., None], mean, shown))


def with_noise(image: Image.Image, *, seed: int, deviation: float = NOISE) -> Image.Image:
    """The photo with Gaussian noise on all channels.

    Args:
        deviation: standard deviation, on a scale of 255.
    """
    pixels = np.asarray(image).astype(np.float32)
    pixels += np.random.default_rng(seed).normal(scale=deviation, size=pixels.shape).astype(np.float32)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def mean_change(before: Tensor, after: Tensor, *, where: np.ndarray) -> float:
    """Mean total variation distance between class probabilities over a region of the photo.

    Args:
        before, after: (K, h, w) probabilities.
        where: (H, W) bool region; cells count in proportion to their coverage.
    Returns: 0 … 1; NaN for an empty region.
    """
    if not where.any():
        return float("nan")
    height, width = before.shape[1:]
    weights = cell_shares(where.astype(np.float32), grid=(height, width))
    distances = 0.5 * (before - after).abs().sum(dim=0).numpy()
    return float((distances * weights).sum() / weights.sum())


def _probabilities(predictor: Predictor, kept: Sequence[ImageFeatures]) -> Tensor:
    """(K, h, w) float32 probabilities of the final stage."""
    with torch.inference_mode(), predictor.autocast():
        logits = predictor.model.forward_head(kept[0].tensors).logits
    return (logits[0].float() / predictor.model.temperature).softmax(dim=0).cpu()


def _maps(
    predictor: Predictor, kept: Sequence[ImageFeatures], *, head: int | None, stage: str, class_index: int
) -> list[np.ndarray]:
    """(h, w) map of each photo, from the trained head or an untrained one."""
    model: Network = predictor.model if head is None else with_random_head(predictor.model, seed=head)
    with torch.inference_mode(), predictor.autocast():
        outputs = [model.forward_head(one.tensors).stages[stage] for one in kept]
    return [output.mask_logits[0, class_index].float().cpu().numpy() for output in outputs]


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN if all are."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
