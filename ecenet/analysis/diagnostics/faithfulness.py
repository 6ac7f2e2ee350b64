"""Faithfulness of similarity maps: deletion and insertion curves, and comparison with maps of random heads."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageFilter
from scipy.integrate import trapezoid
from scipy.stats import spearmanr
from torch import Tensor, nn

from ecenet.analysis.interventions.regions import cell_shares
from ecenet.common.errors import UserError
from ecenet.inference.prediction import ImageFeatures, Prediction
from ecenet.inference.predictor import Predictor
from ecenet.inference.upsample import repeat_to
from ecenet.model.network import Network
from ecenet.model.release import ECENetRelease

BLUR = 0.05
"""Standard deviation of the blur as a share of the photo's longest side; large objects remain patches of colour."""

ALIKE = 0.5
"""Mean correlation with maps of random heads from which a map depends more on the photo than on training. Not from the
paper."""

Score = Callable[[Image.Image], float]


@dataclass(frozen=True, eq=False)
class Curve:
    """A score as a function of the changed share of a photo, in N steps."""

    shares: np.ndarray
    """(N,) share of the map's cells, from 0 to 1."""
    scores: np.ndarray
    """(N,) score."""

    @property
    def area(self) -> float:
        """Area under the curve (trapezoidal rule), which is the mean score."""
        return float(trapezoid(self.scores, self.shares))


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Deletion and insertion curves (Petsiuk et al. 2018), in the map's order and in random orders.

    A faithful map has a larger insertion area and a smaller deletion area than random orders. Deletion is the harder
    test, because random holes quickly destroy large objects.
    """

    deletion: Curve
    """Curve for covering the cells with the photo's mean colour, most similar first."""
    insertion: Curve
    """Curve for revealing the cells over a blurred photo, most similar first."""
    random_deletion: Curve
    """Mean over random orders."""
    random_insertion: Curve
    """Mean over random orders."""


@dataclass(frozen=True, eq=False)
class MapScores:
    """Faithfulness measures of a map, and whether each is better than its baseline. Not from the paper."""

    curves: Faithfulness
    correlation: float
    """Mean of `random_head_correlations`, −1 … 1."""

    @property
    def insertion_passes(self) -> bool:
        return self.curves.insertion.area > self.curves.random_insertion.area

    @property
    def deletion_passes(self) -> bool:
        return self.curves.deletion.area < self.curves.random_deletion.area

    @property
    def is_learned(self) -> bool:
        return abs(self.correlation) < ALIKE


def score_map(
    predictor: Predictor,
    prediction: Prediction,
    *,
    stage: str,
    class_index: int,
    steps: int,
    random_orders: int,
    track: Callable[[Sequence[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> MapScores:
    """Run `judge_map` and `random_head_correlations`; arguments and errors as for these."""
    curves = judge_map(
        predictor,
        prediction,
        stage=stage,
        class_index=class_index,
        steps=steps,
        random_orders=random_orders,
        track=track,
    )
    correlations = random_head_correlations(predictor, prediction, stage=stage, class_index=class_index)
    return MapScores(curves, float(np.nanmean(correlations)))


def judge_map(
    predictor: Predictor,
    prediction: Prediction,
    *,
    stage: str,
    class_index: int,
    steps: int = 16,
    random_orders: int = 3,
    seed: int = 0,
    track: Callable[[Sequence[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> Faithfulness:
    """Curves of a class's similarity map at one stage; needs (2 + 2 · random orders) · (steps + 1) predictions.

    The score is the mean final probability of the class over its mask in the original photo, in analogy to the class
    probability of classifiers. Not from the paper.

    Args:
        prediction: prediction of this predictor without edits.
        steps: number of steps in which the cells are changed.
        random_orders: number of random orders for the baseline.
        track: wraps the iteration over all orders, to show progress.
    Raises:
        UserError: unknown stage or class, a class without pixels in the final mask, or numbers below 1.
    """
    similarity = map_of(predictor, prediction, stage, class_index)
    if min(steps, random_orders) < 1:
        raise UserError(
            "out-of-range",
            f"Expected steps and orders of at least 1, got {steps} and {random_orders}; choose larger numbers.",
        )
    score = region_score(predictor, prediction, class_index=class_index)
    rng = np.random.default_rng(seed)
    order = np.argsort(-similarity.ravel(), kind="stable")
    orders = [order, *(rng.permutation(similarity.size) for _ in range(random_orders))]
    grid = (similarity.shape[0], similarity.shape[1])

    def curves(order: np.ndarray) -> tuple[Curve, Curve]:
        return (
            deletion_curve(prediction.image, order, grid=grid, score=score, steps=steps),
            insertion_curve(prediction.image, order, grid=grid, score=score, steps=steps),
        )

    (deletion, *deletions), (insertion, *insertions) = zip(*(curves(one) for one in track(orders)), strict=True)
    return Faithfulness(deletion, insertion, _mean_curve(deletions), _mean_curve(insertions))


def region_score(predictor: Predictor, prediction: Prediction, *, class_index: int) -> Score:
    """A function that returns the mean final probability (0 … 1) of a class in a changed photo, over the original mask.

    Raises:
        UserError: the class has no pixels in the final mask.
    """
    mask = prediction.label_map == class_index
    if not mask.any():
        name = prediction.class_names[class_index]
        raise UserError(
            "not-enough-data",
            f"Expected a class in the final mask, but it does not contain {name}; choose another class.",
        )
    height, width = prediction.final.mask_logits.shape[1:]
    weights = cell_shares(mask.astype(np.float32), grid=(height, width))
    shares = torch.from_numpy(weights / weights.sum())

    def probabilities(predictor: Predictor, kept: Sequence[ImageFeatures]) -> Tensor:
        with torch.inference_mode(), predictor.autocast():
            logits = predictor.model.forward_head(kept[0].tensors).logits
        return (logits[0].float() / predictor.model.temperature).softmax(dim=0)[class_index].cpu()

    def score(image: Image.Image) -> float:
        # Use the prediction's size, because the weights are on its grid.
        features = predictor.extract_features(image, working_size=prediction.features.working_size)
        return float((predictor.run(probabilities, [features]) * shares).sum())

    return score


def deletion_curve(image: Image.Image, order: np.ndarray, *, grid: tuple[int, int], score: Score, steps: int) -> Curve:
    """Cover the cells one by one with the photo's mean colour.

    Args:
        order: (h·w,) indices of the cells (row by row) in the order in which to cover them.
        grid: (h, w) of the cells.
    """
    pixels = np.asarray(image)
    mean = np.broadcast_to(pixels.mean(axis=(0, 1)).round().astype(np.uint8), pixels.shape)
    return _curve(pixels, mean, order, grid=grid, score=score, steps=steps)


def insertion_curve(image: Image.Image, order: np.ndarray, *, grid: tuple[int, int], score: Score, steps: int) -> Curve:
    """Reveal the cells one by one over the blurred photo. Arguments as for `deletion_curve`."""
    blurred = image.filter(ImageFilter.GaussianBlur(BLUR * max(image.size)))
    return _curve(np.asarray(blurred), np.asarray(image), order, grid=grid, score=score, steps=steps)


def _curve(
    start: np.ndarray, end: np.ndarray, order: np.ndarray, *, grid: tuple[int, int], score: Score, steps: int
) -> Curve:
    """Curve of changing one (H, W, 3) image to another, cell by cell."""
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    ranks = repeat_to(rank.reshape(grid), (start.shape[1], start.shape[0]))[..., None]
    counts = np.unique(np.linspace(0, len(order), steps + 1).round().astype(int))
    scores = [score(Image.fromarray(np.where(ranks < count, end, start))) for count in counts]
    return Curve(counts / len(order), np.array(scores))


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    return Curve(curves[0].shares, np.mean([curve.scores for curve in curves], axis=0))


def random_head_correlations(
    predictor: Predictor, prediction: Prediction, *, stage: str, class_index: int, seeds: Sequence[int] = (0, 1, 2)
) -> np.ndarray:
    """(N,) Spearman correlations (−1 … 1) between the map and those of heads with random weights on the same backbone
    features (Adebayo et al. 2018). Values near 0 mean that the map depends on training. NaN for constant maps.

    Args:
        prediction: prediction of this predictor without edits.
        seeds: one random head per seed.
    Raises:
        UserError: unknown stage or class.
    """
    real = map_of(predictor, prediction, stage, class_index)

    def random_map(predictor: Predictor, kept: Sequence[ImageFeatures], *, seed: int) -> np.ndarray:
        head = with_random_head(predictor.model, seed=seed)
        with torch.inference_mode(), predictor.autocast():
            output = head.forward_head(kept[0].tensors)
        return output.stages[stage].mask_logits[0, class_index].float().cpu().numpy()

    maps = [predictor.run(partial(random_map, seed=seed), [prediction.features]) for seed in seeds]
    return np.array([rank_correlation(real, one) for one in maps])


def with_random_head(model: Network, *, seed: int) -> Network:
    """A copy of the model with a randomly initialised head and the same backbone."""
    # Initialise on the CPU, so that results do not depend on the device.
    device = next(model.parameters()).device
    changed = copy.deepcopy(model).cpu()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, child in changed.named_children():
            if name != "backbone":
                child.apply(_reset)
        if not changed.explicit:
            assert not isinstance(changed, ECENetRelease), "its embeddings are computed from masks"
            changed.learned_embeddings.copy_(torch.randn(changed.learned_embeddings.shape))
    return changed.to(device).eval()


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman correlation of two maps of the same shape, −1 … 1; NaN if one is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def map_of(predictor: Predictor, prediction: Prediction, stage: str, class_index: int) -> np.ndarray:
    """(h, w) similarity map as in the Similarity tab. Classes added by an edit are not allowed."""
    if stage not in prediction.stages:
        raise UserError(
            "unknown-choice",
            f"Expected a stage among {', '.join(prediction.stages)}, got {stage!r}; choose one of them.",
        )
    last = predictor.model.num_classes - 1
    if not 0 <= class_index <= last:
        raise UserError("unknown-choice", f"Expected a class in 0 … {last}, got {class_index}; choose one of these.")
    return prediction.stages[stage].mask_logits[class_index]
