"""Make a class from painted regions, by computing its embedding as ECE does from a mask."""

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from ecenet.analysis.interventions.painted_class import MAX_PROTOTYPES, PaintedClass
from ecenet.analysis.interventions.regions import RegionWeights, region_weights
from ecenet.common.errors import UserError
from ecenet.inference.prediction import ImageFeatures
from ecenet.inference.predictor import Predictor
from ecenet.model.layers.class_extraction import masked_mean, pyramid_cells
from ecenet.model.network import as_ecenet

Pooling = Literal["mean", "pyramid", "prototypes"]
"""Methods to compute embeddings from regions, see `embed_regions`."""


def paint_class(
    predictor: Predictor,
    regions: Sequence[tuple[ImageFeatures, np.ndarray]],
    *,
    name: str,
    color: tuple[int, int, int],
    method: Pooling = "pyramid",
    prototypes: int = 3,
) -> PaintedClass:
    """Make a class from regions of one or several photos.

    Args:
        regions: cached features from this predictor, each with an (H, W) bool region of the photo.
        method: see `embed_regions`.
        prototypes: maximum number of embeddings for the method "prototypes".
    Raises:
        UserError: the name is empty; a region is missing, empty or of the wrong size; or as for `embed_regions`.
    """
    cells = painted_cells(regions, name=name)
    embeddings = embed_regions(
        predictor,
        [(features, one.weights) for (features, _), one in zip(regions, cells, strict=True)],
        method=method,
        prototypes=prototypes,
    )
    return PaintedClass(
        name=name,
        color=color,
        method=method,
        embeddings=embeddings,
        weights_hash=predictor.weights_hash,
        enlarged=any(one.enlarged for one in cells),
    )


def painted_cells(regions: Sequence[tuple[ImageFeatures, np.ndarray]], *, name: str) -> list[RegionWeights]:
    """Region weights on the grid of the deepest stage, for each region.

    Raises:
        UserError: the name is empty; a region is missing, empty or of the wrong size.
    """
    if not name.strip():
        raise UserError("missing-value", "Expected a name for the class, got an empty one; enter one.")
    if not regions:
        raise UserError("missing-value", "Expected at least one painted region, got none; paint on a photo.")
    return [
        region_weights(region, size=features.image.size, grid=_grid(features.tensors[-1]))
        for features, region in regions
    ]


@torch.inference_mode()
def embed_regions(
    predictor: Predictor,
    regions: Sequence[tuple[ImageFeatures, np.ndarray]],
    *,
    method: Pooling = "pyramid",
    prototypes: int = 3,
) -> np.ndarray:
    """Class embeddings from weights over the cells of the deepest stage.

    The three methods are not from the paper. Each pools R_L with the weights, jointly over the cells of all photos, and
    then applies the same steps as ECE to its own embeddings: projection, presence from the maximum weight (1 if the
    region fills a cell), and norm.

    - "mean": weighted mean over the full grid.
    - "pyramid": mean over the full grid and ECE's pooled grids. With a predicted mask as weights, it gives the
    predicted
      embedding.
    - "prototypes": k-means over the covered cells, weighted by coverage. Each centre becomes an embedding, and all act
    as
      one class. For regions with diverse appearance.

    Args:
        regions: cached features from this predictor, each with (h, w) weights in 0 … 1 on the deepest stage's grid.
        prototypes: 1 … `MAX_PROTOTYPES`; fewer are made if fewer cells are covered.
    Returns: (M, D) float32; M is 1 except for "prototypes".
    Raises:
        UserError: unknown method, number out of range, or a model with learned embeddings.
    """
    if method not in get_args(Pooling):
        raise UserError(
            "unknown-choice",
            f"Expected a method among {', '.join(get_args(Pooling))}, got {method!r}; choose one of them.",
        )
    if not 1 <= prototypes <= MAX_PROTOTYPES:
        raise UserError(
            "out-of-range", f"Expected 1 … {MAX_PROTOTYPES} prototypes, got {prototypes}; choose one of these numbers."
        )
    kept = [features for features, _ in regions]
    weights = [values for _, values in regions]
    return predictor.run(partial(_embedded, weights=weights, method=method, prototypes=prototypes), kept)


def _embedded(
    predictor: Predictor,
    kept: Sequence[ImageFeatures],
    *,
    weights: Sequence[np.ndarray],
    method: Pooling,
    prototypes: int,
) -> np.ndarray:
    extract = as_ecenet(predictor.model).extract
    # Flatten the cells of each photo to combine photos of different sizes: (1, D, n) and (1, 1, n).
    grids = extract.pool_grids if method == "pyramid" else ()
    rows = [_cells(predictor, features, one, grids=grids) for features, one in zip(kept, weights, strict=True)]
    cells, over = (torch.cat(parts, dim=2) for parts in zip(*rows, strict=True))
    if method == "prototypes":
        pooled = _centers(cells[0].T, over[0, 0], count=prototypes)[None]
    else:
        pooled = masked_mean(cells, over)
    peak = max(float(values.max()) for values in weights)
    with predictor.autocast():
        embeddings = extract.project_pooled(pooled, pooled.new_full((1, pooled.shape[1], 1), peak))
    return embeddings[0].float().cpu().numpy()


def _cells(
    predictor: Predictor, features: ImageFeatures, weights: np.ndarray, *, grids: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """(1, D, n) features and (1, 1, n) weights of a photo's cells, in fp32 for accurate sums."""
    with predictor.autocast():
        deepest = as_ecenet(predictor.model).deepest_features(features.tensors)
    over = torch.from_numpy(weights).to(deepest.device)[None, None]
    return pyramid_cells(deepest.float(), grids=grids), pyramid_cells(over.float(), grids=grids)


def _centers(cells: Tensor, weights: Tensor, *, count: int) -> Tensor:
    """Deterministic k-means of (n, D) cells with (n,) weights; up to `count` centres."""
    covered = weights > 0
    points, shares = cells[covered].cpu().numpy(), weights[covered].cpu().numpy()
    distinct = len(np.unique(points, axis=0))
    kmeans = KMeans(min(count, distinct), n_init=4, random_state=0).fit(points, sample_weight=shares)
    return torch.from_numpy(kmeans.cluster_centers_).to(cells)


def _grid(feature: Tensor) -> tuple[int, int]:
    return feature.shape[-2], feature.shape[-1]
