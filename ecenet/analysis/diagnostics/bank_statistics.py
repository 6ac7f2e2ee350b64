"""Statistics of a split from its embedding bank: confusion matrix, spread of classes, rivals, worst images."""

from dataclasses import dataclass

import numpy as np

from ecenet.analysis.embeddings.cosine import class_centroids, cosine_distances, unit_vectors
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.evaluation.metrics import mean_iou


def stage_confusion(bank: EmbeddingBank, stage: str) -> np.ndarray:
    """(K, K) confusion matrix in labelled pixels: rows = ground truth, columns = predictions of the stage."""
    rows = bank.stage == stage
    classes = bank.truth.shape[1]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion.T, bank.class_index[rows], bank.truth[rows])
    return confusion


def stage_mious(bank: EmbeddingBank) -> dict[str, float]:
    """mIoU by stage over all classes, 0 … 1; over the labelled classes if the bank was made with a class map."""
    mapped = "class_map" in bank.about
    return {stage: mean_iou(stage_confusion(bank, stage), labelled_only=mapped) for stage in bank.stages}


@dataclass(frozen=True)
class ClassSpread:
    """Spread of a class's embeddings at one stage, in cosine distances (0 … 2). Not from the paper."""

    class_index: int
    count: int
    """Number of images in which the class is predicted on more than the minimum area."""
    spread: float
    """Mean distance of the embeddings to their centroid."""
    rival: int | None
    """Class with the nearest other centroid; None if there is no other class."""
    margin: float
    """Median over embeddings of the distance to the rival's centroid minus that to their own; NaN without a rival."""
    astray: float
    """Share of embeddings that are nearer to another class's centroid than to their own."""


def class_spreads(bank: EmbeddingBank, stage: str, *, min_area: float) -> list[ClassSpread]:
    """Spread of each class that is predicted on more than `min_area` of any image, in ascending order of class."""
    rows = (bank.stage == stage) & (bank.area > min_area)
    unit, classes = unit_vectors(bank.embedding[rows]), bank.class_index[rows]
    present, centroids = class_centroids(unit, classes)
    distances = cosine_distances(unit, centroids)
    between = cosine_distances(centroids, centroids)
    np.fill_diagonal(between, np.inf)
    spreads = []
    for position, k in enumerate(present):
        own = distances[classes == k]
        others = np.delete(own, position, axis=1)
        rival = int(between[position].argmin()) if len(present) > 1 else None
        spreads.append(
            ClassSpread(
                class_index=int(k),
                count=len(own),
                spread=float(own[:, position].mean()),
                rival=None if rival is None else int(present[rival]),
                margin=float("nan") if rival is None else float(np.median(own[:, rival] - own[:, position])),
                astray=0.0 if rival is None else float((others.min(axis=1) < own[:, position]).mean()),
            )
        )
    return spreads


def worst_images(bank: EmbeddingBank, stage: str, *, count: int) -> list[tuple[int, float]]:
    """The `count` worst images as (image, mean IoU over the classes labelled or predicted there), worst first."""
    rows = np.flatnonzero((bank.stage == stage) & np.isfinite(bank.iou))
    # With a class map several rows of an image can have the same class and IoU: count it once.
    rows = rows[np.unique(np.stack([bank.image[rows], bank.class_index[rows]]), axis=1, return_index=True)[1]]
    images = np.unique(bank.image[rows])
    means = np.array([bank.iou[rows][bank.image[rows] == image].mean() for image in images])
    return [(int(images[i]), float(means[i])) for i in np.argsort(means, kind="stable")[:count]]


def cell_images(bank: EmbeddingBank, stage: str, *, truth: int, predicted: int, count: int) -> list[tuple[int, int]]:
    """The images behind one cell of the confusion matrix as (image, pixels), most pixels first."""
    rows = np.flatnonzero((bank.stage == stage) & (bank.class_index == predicted) & (bank.truth[:, truth] > 0))
    # With a class map several rows of an image can have the same class.
    images, positions = np.unique(bank.image[rows], return_inverse=True)
    pixels = np.bincount(positions, weights=bank.truth[rows, truth], minlength=len(images)).astype(np.int64)
    return [(int(images[i]), int(pixels[i])) for i in np.argsort(-pixels, kind="stable")[:count]]
