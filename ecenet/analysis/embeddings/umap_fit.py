"""UMAP and t-SNE by cosine distance, as the worker process runs them. Importing UMAP takes seconds."""

import warnings
from typing import Any

import numpy as np
from pynndescent import NNDescent
from sklearn.manifold import TSNE
from umap import UMAP

from ecenet.analysis.embeddings.cosine import nearest, unit_vectors
from ecenet.analysis.embeddings.projection import ProjectionOptions

EPOCHS_OF_MANY = 200
"""UMAP's own number for large data; its 500 for small ones take a third of a minute with 5,000 points."""
MANY_POINTS = 2000
TSNE_START = 1e-4
FOLLOWING_EPOCHS, FOLLOWING_RATE = 60, 0.25
"""Of a fit that starts from another's positions: enough to be as trustworthy, too few to leave them. Ours."""


class ExactNeighbors(NNDescent):
    """All distances instead of an index: compiling UMAP's own search takes a minute, ours a fraction of a second.

    UMAP takes nothing but an `NNDescent`, of which it uses the two members below.
    """

    _angular_trees = True

    def __init__(self, unit: np.ndarray) -> None:
        self._unit = unit

    def query(self, vectors: np.ndarray, k: int, epsilon: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(N, k) rows and distances; `epsilon` is of no use to an exact search."""
        return nearest(unit_vectors(vectors), self._unit, count=k)


def fit_umap(vectors: np.ndarray, options: ProjectionOptions, *, start: np.ndarray | None = None) -> UMAP:
    """A fitted reducer; its `embedding_` is the picture. The same vectors and seed give the same one.

    Args:
        vectors: (N, D), N ≥ 3.
        start: (N, dimensions) positions near which points are to stay; a fit from the beginning without.
    """
    unit = unit_vectors(vectors)
    neighbors = min(options.neighbors, len(vectors) - 1)
    rows, distances = nearest(unit, unit, count=neighbors)
    reducer = UMAP(
        n_neighbors=neighbors,
        min_dist=options.min_dist,
        n_components=options.dimensions,
        metric="cosine",
        init="pca" if start is None else np.asarray(start, dtype=np.float32),
        n_epochs=FOLLOWING_EPOCHS if start is not None else EPOCHS_OF_MANY if len(vectors) > MANY_POINTS else None,
        learning_rate=1.0 if start is None else FOLLOWING_RATE,
        random_state=options.seed,
        transform_seed=options.seed,
        n_jobs=1,
        precomputed_knn=(rows, distances, ExactNeighbors(unit)),
    )
    return _quietly(reducer.fit, vectors)


def place_umap(reducer: UMAP, vectors: np.ndarray) -> np.ndarray:
    """(N, D) → (N, dimensions) in a fitted picture."""
    return np.asarray(_quietly(reducer.transform, vectors))


def tsne_coordinates(vectors: np.ndarray, options: ProjectionOptions, *, start: np.ndarray | None = None) -> np.ndarray:
    """(N, D) → (N, dimensions); the same vectors and seed give the same picture. `start` as for `fit_umap`."""
    perplexity = min(options.perplexity, (len(vectors) - 1) / 3)
    reducer = TSNE(
        options.dimensions,
        perplexity=perplexity,
        metric="cosine",
        # As wide as t-SNE's own start: a wide one would hold on to its outliers.
        init="pca" if start is None else (TSNE_START * start / np.std(start)).astype(np.float32),
        random_state=options.seed,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(vectors))


def _quietly(function: Any, vectors: np.ndarray) -> Any:
    """Without UMAP's remarks on its own settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(np.ascontiguousarray(vectors, dtype=np.float32))
