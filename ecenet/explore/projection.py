"""One projection of all shown points to two dimensions. Never one per stage: positions would mean nothing."""

import threading
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

MIN_UMAP_POINTS = 16
"""UMAP draws a neighbourhood graph; with fewer points than a neighbourhood there is nothing to draw."""

_umap_loaded = threading.Event()


@dataclass(frozen=True)
class Projection:
    """Positions of N points, and how they came about."""

    coordinates: np.ndarray
    """(N, 2) float."""
    method: str
    """`UMAP` or `PCA`."""
    note: str
    """Why the method is not UMAP, with its remedy; empty where it is."""


def project(vectors: np.ndarray, *, seed: int = 0) -> Projection:
    """Project embeddings with UMAP (cosine distance), or PCA while that cannot work.

    Args:
        vectors: (N, D), N ≥ 0.
        seed: of UMAP; the same vectors and seed give the same picture.
    """
    count = len(vectors)
    if count < MIN_UMAP_POINTS:
        note = f"UMAP needs at least {MIN_UMAP_POINTS} points and there are {count}: shown with PCA. Add another photo."
        return Projection(_pca(vectors), "PCA", note)
    if not umap_is_loaded():
        return Projection(_pca(vectors), "PCA", "UMAP is still loading: shown with PCA until it is there.")
    import umap

    reducer = umap.UMAP(
        n_neighbors=min(15, count - 1), min_dist=0.2, metric="cosine", init="pca", random_state=seed, n_jobs=1
    )
    return Projection(np.asarray(reducer.fit_transform(vectors)), "UMAP", "")


def umap_is_loaded() -> bool:
    """True once `import umap` costs nothing: it takes seconds the first time, which nobody should wait for."""
    return _umap_loaded.is_set()


def load_umap() -> None:
    """Import umap and compile what its first fit compiles; call it from a thread, before it is needed."""
    import umap

    warm_up = np.random.default_rng(0).normal(size=(MIN_UMAP_POINTS, 4)).astype(np.float32)
    umap.UMAP(n_neighbors=5, metric="cosine", init="pca", random_state=0, n_jobs=1).fit(warm_up)
    _umap_loaded.set()


def load_umap_in_background() -> threading.Thread:
    """Start `load_umap` without waiting for it."""
    thread = threading.Thread(target=load_umap, name="load-umap", daemon=True)
    thread.start()
    return thread


def _pca(vectors: np.ndarray) -> np.ndarray:
    """(N, D) → (N, 2); axes that the data does not span are zero."""
    components = min(2, *vectors.shape) if len(vectors) > 1 else 0
    coordinates = np.zeros((len(vectors), 2))
    if components:
        coordinates[:, :components] = PCA(components, svd_solver="full").fit_transform(vectors)
    return coordinates
