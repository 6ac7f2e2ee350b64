"""What lies close to what by cosine distance, in the original space, and how much of that a picture keeps."""

from dataclasses import dataclass

import numpy as np
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

CHUNK_ENTRIES = 20_000_000
"""Distances that are held at once, 80 MB."""
MAX_JUDGED = 2000
"""Points that `score_projection` looks at: both measures compare all pairs."""
JUDGED_NEIGHBORS = 15
"""Of each point, and at most a fifth of all: among so many, to be a neighbour means nothing. Ours."""


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """(N, D) → (N, D) float32 of length 1; a zero vector stays zero, at distance 1 of everything."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def cosine_distances(unit: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, D), (M, D) `unit_vectors` → (N, M) float32 in 0 … 2."""
    return np.clip(1 - unit @ others.T, 0, 2)


def paired_distances(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, D), (N, D) of any length → (N,) cosine distances in 0 … 2, row by row."""
    return np.clip(1 - (unit_vectors(vectors) * unit_vectors(others)).sum(axis=1), 0, 2)


def nearest(queries: np.ndarray, unit: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` rows of `unit` that are nearest to each query, nearest first; ties in the order of rows.

    Args:
        queries: (Q, D) unit vectors; one that is among `unit` finds itself, too.
        unit: (N, D) unit vectors, N ≥ `count`.

    Returns:
        (Q, count) int32 rows and (Q, count) float32 cosine distances.
    """
    rows = max(1, CHUNK_ENTRIES // max(1, len(unit)))
    found, distances = [np.zeros((0, count), np.int32)], [np.zeros((0, count), np.float32)]
    for start in range(0, len(queries), rows):
        part = cosine_distances(queries[start : start + rows], unit)
        # Sorting a few beats sorting all; which of many equally far ones are among them is anybody's guess.
        few = np.sort(np.argpartition(part, count - 1, axis=1)[:, :count], axis=1)
        of_few = np.take_along_axis(part, few, axis=1)
        order = np.argsort(of_few, axis=1, kind="stable")
        found.append(np.take_along_axis(few, order, axis=1).astype(np.int32))
        distances.append(np.take_along_axis(of_few, order, axis=1))
    return np.concatenate(found), np.concatenate(distances)


def neighbors_of(index: int, unit: np.ndarray, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosine distances of the `count` nearest others of row `index`, fewer where there are fewer."""
    distances = cosine_distances(unit[index : index + 1], unit)[0]
    others = np.delete(np.arange(len(unit)), index)
    order = others[np.argsort(distances[others], kind="stable")[:count]]
    return order, distances[order]


@dataclass(frozen=True)
class Quality:
    """How far to trust a picture. None where there are too few points, or classes, to tell."""

    trustworthiness: float | None
    """0 … 1: whether points that are close in the picture are close in the original space (Venna & Kaski 2001)."""
    silhouette: float | None
    """−1 … 1: whether points of a class lie together in the original space, apart from other classes'."""
    judged: int
    """Points that the two were measured on."""


def score_projection(vectors: np.ndarray, coordinates: np.ndarray, classes: np.ndarray) -> Quality:
    """Both measures by cosine distance, on at most `MAX_JUDGED` points drawn with a fixed seed.

    Args:
        vectors: (N, D) in the original space.
        coordinates: (N, 2 or 3) in the picture.
        classes: (N,).
    """
    if len(vectors) > MAX_JUDGED:
        drawn = np.random.default_rng(0).choice(len(vectors), MAX_JUDGED, replace=False)
        vectors, coordinates, classes = vectors[drawn], coordinates[drawn], classes[drawn]
    count = len(vectors)
    neighbors = min(JUDGED_NEIGHBORS, max(1, count // 5))
    trust = silhouette = None
    # Its normalisation holds for fewer than half of the points.
    if neighbors < count / 2:
        trust = float(trustworthiness(vectors, coordinates, n_neighbors=neighbors, metric="cosine"))
    if 2 <= len(np.unique(classes)) < count:
        silhouette = float(silhouette_score(vectors, classes, metric="cosine"))
    return Quality(trust, silhouette, count)


def class_centroids(unit: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each class's mean vector, at length 1 again. Of `unit_vectors`, so that no long one outweighs the others. Ours.

    Returns:
        (C,) the classes, ascending, and (C, D).
    """
    present = np.unique(classes)
    means = [unit[classes == k].mean(axis=0) for k in present]
    return present, unit_vectors(np.array(means, dtype=np.float32).reshape(len(present), unit.shape[1]))


def centroid_similarity(vectors: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarity between the centroids of classes.

    Returns:
        (C,) the classes, ascending, and (C, C) in −1 … 1.
    """
    present, centroids = class_centroids(unit_vectors(vectors), classes)
    return present, np.clip(centroids @ centroids.T, -1, 1)
