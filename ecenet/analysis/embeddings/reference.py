"""Nearest reference embeddings of a photo's class embedding in a bank, and clusters of a class's embeddings. Not from
the paper."""

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from ecenet.analysis.embeddings.cosine import class_centroids, cosine_distances, nearest, unit_vectors
from ecenet.common.errors import UserError
from ecenet.evaluation.bank import EmbeddingBank


def nearest_reference(
    bank: EmbeddingBank, vector: np.ndarray, *, stage: str, count: int, min_area: float
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest embeddings of the same stage in a bank, of any class.

    Args:
        vector: (D,) embedding, not zero.
        count: maximum number of results.
        min_area: minimum share of the reference photo that the class must cover.
    Returns: (N,) rows of the bank, nearest first, and their (N,) cosine distances, 0 … 2.
    """
    rows = np.flatnonzero((bank.stage == stage) & (bank.area > min_area))
    if not len(rows):
        return rows, np.zeros(0, np.float32)
    found, distances = nearest(
        unit_vectors(vector[None]), unit_vectors(bank.embedding[rows]), count=min(count, len(rows))
    )
    return rows[found[0]], distances[0]


@dataclass(frozen=True, eq=False)
class SubCluster:
    """One cluster of a class's embeddings."""

    rows: np.ndarray
    """(N,) rows of the bank, ascending."""
    medoid: int
    """Row with the smallest mean cosine distance to the other rows."""
    spread: float
    """Mean cosine distance of the rows to the cluster's centroid, 0 … 2."""
    centroid: np.ndarray
    """(D,) mean direction, of length 1."""


@dataclass(frozen=True, eq=False)
class SubClusters:
    """All clusters of a class at one stage."""

    clusters: list[SubCluster]
    """Clusters, largest first."""
    silhouette: float | None
    """Silhouette by cosine distance, −1 … 1; near 0 the clusters overlap. None for a single cluster, or as many as
    embeddings."""

    def nearest(self, vector: np.ndarray) -> int:
        """Index of the cluster whose centroid is nearest to a (D,) embedding."""
        centroids = np.stack([cluster.centroid for cluster in self.clusters])
        return int(cosine_distances(unit_vectors(vector[None]), centroids)[0].argmin())


def class_rows(bank: EmbeddingBank, class_index: int, *, stage: str, min_area: float) -> np.ndarray:
    """(N,) rows of a class at a stage that cover more than `min_area` of their photo, ascending."""
    return np.flatnonzero((bank.stage == stage) & (bank.area > min_area) & (bank.class_index == class_index))


def sub_clusters(
    bank: EmbeddingBank, class_index: int, *, stage: str, count: int, min_area: float, seed: int = 0
) -> SubClusters:
    """k-means clusters of a class's embeddings at one stage, scaled to length 1.

    Args:
        count: number of clusters.
        min_area: as for `class_rows`.
        seed: random seed of the ten initialisations, of which the best is used.
    Raises:
        UserError: `count` is below 1 or larger than the number of embeddings.
    """
    rows = class_rows(bank, class_index, stage=stage, min_area=min_area)
    if not 1 <= count <= len(rows):
        raise UserError(
            "out-of-range",
            f"Expected 1 … {len(rows)} clusters (the bank has {len(rows)} embeddings of the class), got {count}; "
            f"{'choose fewer' if len(rows) else 'choose another class'}.",
        )
    unit = unit_vectors(bank.embedding[rows])
    labels = KMeans(n_clusters=count, n_init=10, random_state=seed).fit_predict(unit)
    present, centroids = class_centroids(unit, labels)
    clusters = [
        _cluster(rows[labels == label], unit[labels == label], centroid)
        for label, centroid in zip(present, centroids, strict=True)
    ]
    clusters.sort(key=lambda one: (-len(one.rows), one.rows[0]))
    silhouette = None
    if 2 <= len(clusters) < len(rows):
        silhouette = float(silhouette_score(unit, labels, metric="cosine"))
    return SubClusters(clusters, silhouette)


def _cluster(rows: np.ndarray, unit: np.ndarray, centroid: np.ndarray) -> SubCluster:
    """A cluster of the rows.

    Args:
        unit: (N, D) `unit_vectors` of the rows.
    """
    medoid = int(rows[cosine_distances(unit, unit).sum(axis=1).argmin()])
    return SubCluster(rows, medoid, float(cosine_distances(unit, centroid[None]).mean()), centroid)
