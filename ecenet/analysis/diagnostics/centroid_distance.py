"""Does an embedding lie where its class's embeddings lie? Distances to the centroids of an embedding bank. Ours."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ecenet.analysis.embeddings.cosine import class_centroids, cosine_distances, unit_vectors
from ecenet.common.errors import UserError
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.inference.prediction import Prediction

MIN_AREA, MIN_IOU = 0.005, 0.5
"""Of the reference masks whose embeddings make the centroids: failures would draw them to where failures lie. Ours."""


class Distances(NamedTuple):
    """Of N embeddings, each of some class, to centroids. Cosine distances, 0 … 2; NaN where there is no centroid."""

    own: np.ndarray
    """(N,) to the centroid of the embedding's own class."""
    rival: np.ndarray
    """(N,) to the nearest centroid of another class."""
    rival_index: np.ndarray
    """(N,) that class; -1 where there is none."""

    @property
    def margin(self) -> np.ndarray:
        """(N,) the rival's distance minus the own one, −2 … 2; below 0 the embedding lies nearer to the rival."""
        return self.rival - self.own


class ClassConsistency(NamedTuple):
    """How one class of a photo lies at one stage. NaN where the bank lacks what it takes."""

    class_index: int
    distance: float
    """Cosine distance to the class's centroid, 0 … 2."""
    rival: int | None
    """The other class whose centroid is nearest; None without any."""
    rival_distance: float
    margin: float
    """The rival's distance minus the own one."""


def bank_centroids(bank: EmbeddingBank, *, min_area: float = 0.005, min_iou: float = 0.0) -> dict[str, np.ndarray]:
    """Stage → (K, D) float32 centroids of length 1, NaN for a class without any embedding that counts.

    Args:
        min_area: count embeddings of masks that cover more than this share of their image.
        min_iou: and whose IoU is at least this; above 0, masks that failed no longer draw the centroid to where
            failures lie.
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
    """`bank_centroids` of masks that are large and right enough; kept for the next photo."""
    return bank_centroids(bank, min_area=MIN_AREA, min_iou=MIN_IOU)


def centroid_distances(vectors: np.ndarray, classes: np.ndarray, centroids: np.ndarray) -> Distances:
    """Args:
    vectors: (N, D), of any length.
    classes: (N,) the class of each; one beyond K, such as a painted one, has no centroid.
    centroids: (K, D) of length 1, NaN for classes without.
    """
    # One more row for the classes that have none: NaN, as theirs would be.
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
    """Of the classes that the final mask gives more than `min_area` of the photo, the largest first.

    Args:
        centroids: of a bank of the same weights.
    Raises:
        UserError: a stage without centroids, or centroids of embeddings of another width.
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
            f"Expected centroids of {vectors.shape[1]} numbers, as this photo's embeddings have, got "
            f"{centroids[stage].shape[1]}; take a bank of the same weights.",
            expected=vectors.shape[1],
            got=centroids[stage].shape[1],
        )
    found = centroid_distances(vectors, np.array(present, dtype=np.int64), centroids[stage])
    return [
        ClassConsistency(k, float(own), int(index) if index >= 0 else None, float(rival), float(rival - own))
        for k, own, rival, index in zip(present, *found, strict=True)
    ]
