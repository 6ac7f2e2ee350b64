"""Distances of a photo's class embeddings to the class centroids of an embedding bank. Not from the paper."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ecenet.analysis.embeddings.cosine import class_centroids, cosine_distances, unit_vectors
from ecenet.common.errors import UserError
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.inference.prediction import Prediction

MIN_AREA, MIN_IOU = 0.005, 0.5
"""Minimum IoU of the reference masks that centroids are computed from, so that wrong masks do not shift them. Not from
the paper."""


class Distances(NamedTuple):
    """Cosine distances (0 … 2) of N embeddings to class centroids; NaN if there is no centroid."""

    own: np.ndarray
    """(N,) distance to the centroid of the embedding's own class."""
    rival: np.ndarray
    """(N,) distance to the nearest centroid of another class."""
    rival_index: np.ndarray
    """(N,) index of that class; -1 if there is none."""

    @property
    def margin(self) -> np.ndarray:
        """(N,) rival's distance minus own distance, −2 … 2; negative if the rival is nearer."""
        return self.rival - self.own


class ClassConsistency(NamedTuple):
    """Distances of one class of a photo at one stage; NaN if the bank has no centroid for it."""

    class_index: int
    distance: float
    """Cosine distance to the class's centroid, 0 … 2."""
    rival: int | None
    """Class with the nearest other centroid; None if there is none."""
    rival_distance: float
    margin: float
    """Rival's distance minus own distance."""


def bank_centroids(bank: EmbeddingBank, *, min_area: float = 0.005, min_iou: float = 0.0) -> dict[str, np.ndarray]:
    """(K, D) float32 centroids of length 1 by stage; NaN for classes without eligible embeddings.

    Args:
        min_area: include masks that cover more than this share of their image.
        min_iou: include masks with at least this IoU; above 0, it excludes wrong masks, which would shift centroids.
    """
    width, classes = bank.embedding.shape[1], len(bank.about["class_names"])
    found = {}
    for stage in bank.stages:
        rows = (bank.stage == stage) & (bank.area > min_area)
        if min_iou > 0:
            rows &= np.nan_to_num(bank.iou, nan=-1.0) >= min_iou
        present, centroids = class_centroids(unit_vectors(bank.embedding[rows]), bank.class_index[rows])
        found[stage] = np.full((classes, width), np.nan, dtype=np.float32)
        found[stage][present] = centroids
    return found


@lru_cache(maxsize=4)
def reference_centroids(bank: EmbeddingBank) -> dict[str, np.ndarray]:
    """`bank_centroids` of masks that are large and accurate enough; cached for the next photo."""
    return bank_centroids(bank, min_area=MIN_AREA, min_iou=MIN_IOU)


def centroid_distances(vectors: np.ndarray, classes: np.ndarray, centroids: np.ndarray) -> Distances:
    """Cosine distances of embeddings to the centroids of their own class and the nearest other class.

    Args:
        vectors: (N, D) embeddings of any length.
        classes: (N,) class of each embedding; classes ≥ K, such as painted ones, have no centroid.
        centroids: (K, D) of length 1; NaN for classes without a centroid.
    """
    # An extra NaN row for classes without a centroid.
    known = np.concatenate([centroids, np.full((1, centroids.shape[1]), np.nan, dtype=np.float32)])
    distances = cosine_distances(unit_vectors(vectors), known)
    numbers = np.arange(len(distances))
    column = np.minimum(classes, len(centroids))
    own = distances[numbers, column].copy()
    distances[numbers, column] = np.nan
    others = np.where(np.isnan(distances), np.inf, distances)
    nearest = others.argmin(axis=1)
    rival = others[numbers, nearest]
    alone = np.isinf(rival)
    return Distances(own, np.where(alone, np.nan, rival), np.where(alone, -1, nearest))


def prediction_consistency(
    prediction: Prediction, centroids: Mapping[str, np.ndarray], *, stage: str, min_area: float = 0.005
) -> list[ClassConsistency]:
    """Distances of the classes that cover more than `min_area` of the photo in the final mask, largest first.

    Args:
        centroids: `bank_centroids` of a bank made with the same weights.
    Raises:
        UserError: the stage has no centroids, or their width differs from that of the embeddings.
    """
    if stage not in centroids or stage not in prediction.stages:
        raise UserError(
            "unknown-choice", f"Expected a stage among {', '.join(centroids)}, got {stage!r}; choose one of them."
        )
    present = prediction.final.present(min_area=min_area)
    vectors = prediction.stages[stage].embeddings[present]
    if vectors.shape[1] != centroids[stage].shape[1]:
        raise UserError(
            "wrong-weights",
            f"Expected centroids of width {vectors.shape[1]}, like this photo's embeddings, got "
            f"{centroids[stage].shape[1]}; use a bank made with the same weights.",
            expected=vectors.shape[1],
            got=centroids[stage].shape[1],
        )
    found = centroid_distances(vectors, np.array(present, dtype=np.int64), centroids[stage])
    return [
        ClassConsistency(k, float(own), int(index) if index >= 0 else None, float(rival), float(rival - own))
        for k, own, rival, index in zip(present, *found, strict=True)
    ]
