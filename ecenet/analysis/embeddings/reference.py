"""Which reference embeddings of a bank are like a photo's class embedding, and of which kinds a class's are. Ours."""

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
    """The embeddings of a stage that are nearest to one of the same stage, of whatever class.

    Args:
        vector: (D,) of any length but 0.
        count: at most so many.
        min_area: share of the reference photo that the class must cover there.
    Returns: (N,) rows of the bank, nearest first, and (N,) their cosine distances, 0 … 2.
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
    """One of the kinds of a class's embeddings."""

    rows: np.ndarray
    """(N,) of the bank, ascending."""
    medoid: int
    """Of these the row whose mean cosine distance to the others is least."""
    spread: float
    """Mean cosine distance of the rows to the cluster's centroid, 0 … 2."""
    centroid: np.ndarray
    """(D,) of length 1, the mean direction."""


@dataclass(frozen=True, eq=False)
class SubClusters:
    """All kinds of one class at one stage."""

    clusters: list[SubCluster]
    """The largest first."""
    silhouette: float | None
    """−1 … 1 by cosine distance; near 0 the clusters merge into each other, and are none. None for one cluster, or as
    many as there are embeddings."""

    def nearest(self, vector: np.ndarray) -> int:
        """Index of the cluster whose centroid is nearest to a (D,) embedding."""
        centroids = np.stack([cluster.centroid for cluster in self.clusters])
        return int(cosine_distances(unit_vectors(vector[None]), centroids)[0].argmin())


def class_rows(bank: EmbeddingBank, class_index: int, *, stage: str, min_area: float) -> np.ndarray:
    """(N,) rows of a class at a stage where it covers more than `min_area` of the photo, ascending."""
    return np.flatnonzero((bank.stage == stage) & (bank.area > min_area) & (bank.class_index == class_index))


def sub_clusters(
    bank: EmbeddingBank, class_index: int, *, stage: str, count: int, min_area: float, seed: int = 0
) -> SubClusters:
    """k-means of a class's embeddings at one stage, at length 1, so that directions alone count.

    Args:
        count: k.
        min_area: as for `class_rows`.
        seed: of the ten starts, the best of which is taken.
    Raises:
        UserError: fewer embeddings than clusters, or no cluster.
    """
    rows = class_rows(bank, class_index, stage=stage, min_area=min_area)
    if not 1 <= count <= len(rows):
        raise UserError(
            "not-enough-data",
            f"Expected 1 … {len(rows)} clusters, as many as the bank has embeddings of the class, got {count}; "
            f"{'ask for fewer' if len(rows) else 'choose a class that it has'}.",
            limit=len(rows),
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
    """Args:
    unit: (N, D) `unit_vectors` of the rows.
    """
    medoid = int(rows[cosine_distances(unit, unit).sum(axis=1).argmin()])
    return SubCluster(rows, medoid, float(cosine_distances(unit, centroid[None]).mean()), centroid)
