"""UMAP and t-SNE by cosine distance; used in the worker process because importing UMAP takes seconds."""

import warnings
from typing import Any

import numpy as np
from pynndescent import NNDescent
from sklearn.manifold import TSNE
from umap import UMAP

from ecenet.analysis.embeddings.cosine import nearest, unit_vectors
from ecenet.analysis.embeddings.projection import ProjectionOptions

EPOCHS_OF_MANY = 200
"""UMAP's default for large data sets; its default of 500 for small ones takes 20 seconds with 5,000 points."""
MANY_POINTS = 2000
TSNE_START = 1e-4
FOLLOWING_EPOCHS, FOLLOWING_RATE = 60, 0.25
"""Epochs of a fit initialised with given positions: enough for equal trustworthiness, few enough to stay near them. Not
from the paper."""


class ExactNeighbors(NNDescent):
    """Exact neighbour search. Compiling UMAP's own approximate search takes a minute.

    UMAP requires an instance of `NNDescent` and uses only the two members below.
    """

    _angular_trees = True

    def __init__(self, unit: np.ndarray) -> None:
        self._unit = unit

    def query(self, vectors: np.ndarray, k: int, epsilon: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(N, k) rows and distances; `epsilon` is ignored."""
        return nearest(unit_vectors(vectors), self._unit, count=k)


def fit_umap(vectors: np.ndarray, options: ProjectionOptions, *, start: np.ndarray | None = None) -> UMAP:
    """A fitted UMAP; its `embedding_` holds the positions. Results are reproducible for equal vectors and seed.

    Args:
        vectors: (N, D) vectors, N ≥ 3.
        start: (N, dimensions) initial positions to stay close to; none by default.
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
    """(N, dimensions) positions of (N, D) vectors in a fitted UMAP."""
    return np.asarray(_quietly(reducer.transform, vectors))


def tsne_coordinates(vectors: np.ndarray, options: ProjectionOptions, *, start: np.ndarray | None = None) -> np.ndarray:
    """(N, dimensions) t-SNE positions of (N, D) vectors; reproducible for equal vectors and seed. `start` as for
    `fit_umap`."""
    perplexity = min(options.perplexity, (len(vectors) - 1) / 3)
    reducer = TSNE(
        options.dimensions,
        perplexity=perplexity,
        metric="cosine",
        # Scaled to the spread of t-SNE's own initialisation; with a larger one outliers would not move.
        init="pca" if start is None else (TSNE_START * start / np.std(start)).astype(np.float32),
        random_state=options.seed,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(vectors))


def _quietly(function: Any, vectors: np.ndarray) -> Any:
    """Call a function without UMAP's warnings about its settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(np.ascontiguousarray(vectors, dtype=np.float32))
