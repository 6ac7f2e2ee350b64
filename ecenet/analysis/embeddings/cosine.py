"""Nearest neighbours by cosine distance in the original space, and the quality of projections."""

from dataclasses import dataclass

import numpy as np
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

CHUNK_ENTRIES = 20_000_000
"""Maximum number of distances in memory (80 MB)."""
MAX_JUDGED = 2000
"""Maximum number of points for `score_projection`, which compares all pairs."""
JUDGED_NEIGHBORS = 15
"""Neighbours per point for trustworthiness, at most a fifth of all points. Not from the paper."""


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """(N, D) vectors scaled to length 1, float32; zero vectors stay zero and have distance 1 to everything."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def cosine_distances(unit: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M) float32 cosine distances (0 … 2) between (N, D) and (M, D) `unit_vectors`."""
    return np.clip(1 - unit @ others.T, 0, 2)


def paired_distances(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) cosine distances (0 … 2) between corresponding rows of (N, D) and (N, D) vectors of any length."""
    return np.clip(1 - (unit_vectors(vectors) * unit_vectors(others)).sum(axis=1), 0, 2)


def nearest(queries: np.ndarray, unit: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest rows of `unit` for each query, nearest first; ties in the order of rows.

    Args:
        queries: (Q, D) unit vectors; a query contained in `unit` finds itself too.
        unit: (N, D) unit vectors, N ≥ `count`.

    Returns:
        (Q, count) int32 rows and (Q, count) float32 cosine distances.
    """
    rows = max(1, CHUNK_ENTRIES // max(1, len(unit)))
    found, distances = [np.zeros((0, count), np.int32)], [np.zeros((0, count), np.float32)]
    for start in range(0, len(queries), rows):
        part = cosine_distances(queries[start : start + rows], unit)
        # Partition before sorting, for speed; ties at the last place are resolved arbitrarily.
        few = np.sort(np.argpartition(part, count - 1, axis=1)[:, :count], axis=1)
        of_few = np.take_along_axis(part, few, axis=1)
        order = np.argsort(of_few, axis=1, kind="stable")
        found.append(np.take_along_axis(few, order, axis=1).astype(np.int32))
        distances.append(np.take_along_axis(of_few, order, axis=1))
    return np.concatenate(found), np.concatenate(distances)


def neighbors_of(index: int, unit: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosine distances of up to `count` nearest other rows of row `index`."""
    distances = cosine_distances(unit[index : index + 1], unit)[0]
    others = np.delete(np.arange(len(unit)), index)
    order = others[np.argsort(distances[others], kind="stable")[:count]]
    return order, distances[order]


@dataclass(frozen=True)
class Quality:
    """Quality of a projection. Values are None if there are too few points or classes."""

    trustworthiness: float | None
    """Trustworthiness, 0 … 1: whether points close in the projection are close in the original space (Venna & Kaski
    2001)."""
    silhouette: float | None
    """Silhouette, −1 … 1: whether classes form separate clusters in the original space."""
    judged: int
    """Number of points measured."""


def score_projection(vectors: np.ndarray, coordinates: np.ndarray, classes: np.ndarray) -> Quality:
    """Both measures by cosine distance, on at most `MAX_JUDGED` points drawn with a fixed seed.

    Args:
        vectors: (N, D) vectors in the original space.
        coordinates: (N, 2 or 3) positions in the projection.
        classes: (N,) class of each point.
    """
    if len(vectors) > MAX_JUDGED:
        drawn = np.random.default_rng(0).choice(len(vectors), MAX_JUDGED, replace=False)
        vectors, coordinates, classes = vectors[drawn], coordinates[drawn], classes[drawn]
    count = len(vectors)
    neighbors = min(JUDGED_NEIGHBORS, max(1, count // 5))
    trust = silhouette = None
    # Trustworthiness is only defined for fewer neighbours than half of the points.
    if neighbors < count / 2:
        trust = float(trustworthiness(vectors, coordinates, n_neighbors=neighbors, metric="cosine"))
    if 2 <= len(np.unique(classes)) < count:
        silhouette = float(silhouette_score(vectors, classes, metric="cosine"))
    return Quality(trust, silhouette, count)


def class_centroids(unit: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean vector of each class, scaled to length 1. Not from the paper.

    Returns:
        (C,) classes in ascending order, and (C, D) centroids.
    """
    present = np.unique(classes)
    means = [unit[classes == k].mean(axis=0) for k in present]
    return present, unit_vectors(np.array(means, dtype=np.float32).reshape(len(present), unit.shape[1]))


def centroid_similarity(vectors: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarity between the centroids of classes.

    Returns:
        (C,) classes in ascending order, and (C, C) similarities in −1 … 1.
    """
    present, centroids = class_centroids(unit_vectors(vectors), classes)
    return present, np.clip(centroids @ centroids.T, -1, 1)
