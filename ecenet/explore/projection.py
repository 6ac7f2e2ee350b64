"""One projection of all shown points to two dimensions. Never one per stage: positions would mean nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

MIN_UMAP_POINTS = 16
"""UMAP draws a neighbourhood graph; with fewer points than a neighbourhood there is nothing to draw."""


@dataclass(frozen=True)
class Projection:
    """Positions of N points, and how they came about."""

    coordinates: np.ndarray
    """(N, 2) float."""
    method: str
    """`UMAP` or `PCA`."""
    note: str
    """Why the method is not UMAP, with its remedy; empty where it is."""


def project(vectors: np.ndarray, *, fit_umap: Callable[[np.ndarray], np.ndarray | None]) -> Projection:
    """Project embeddings with UMAP, or PCA while that cannot work.

    Args:
        vectors: (N, D), N ≥ 0.
        fit_umap: (N, D) → (N, 2), such as `umap_coordinates` or a worker's `fit`; None says that it is not there yet.
    """
    count = len(vectors)
    if count < MIN_UMAP_POINTS:
        note = f"UMAP needs at least {MIN_UMAP_POINTS} points and there are {count}: shown with PCA. Add another photo."
        return Projection(_pca(vectors), "PCA", note)
    coordinates = fit_umap(vectors)
    if coordinates is None:
        return Projection(_pca(vectors), "PCA", "UMAP is still loading: shown with PCA until it is there.")
    return Projection(coordinates, "UMAP", "")


def umap_coordinates(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """(N, D) → (N, 2) by cosine distance; the same vectors and seed give the same picture.

    The first call imports UMAP, which takes seconds.
    """
    import umap

    neighbors = min(15, len(vectors) - 1)
    reducer = umap.UMAP(n_neighbors=neighbors, min_dist=0.2, metric="cosine", init="pca", random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform(vectors))


def _pca(vectors: np.ndarray) -> np.ndarray:
    """(N, D) → (N, 2); axes that the data does not span are zero."""
    components = min(2, *vectors.shape) if len(vectors) > 1 else 0
    coordinates = np.zeros((len(vectors), 2))
    if components:
        coordinates[:, :components] = PCA(components, svd_solver="full").fit_transform(vectors)
    return coordinates
