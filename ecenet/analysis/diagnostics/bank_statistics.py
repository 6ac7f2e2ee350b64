"""What an embedding bank says about a whole split: confusions, spread of classes, rivals, worst images."""

from dataclasses import dataclass

import numpy as np

from ecenet.analysis.embeddings.cosine import class_centroids, cosine_distances, unit_vectors
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.evaluation.metrics import mean_iou


def stage_confusion(bank: EmbeddingBank, stage: str) -> np.ndarray:
    """(K, K) labelled pixels: rows are the truth, columns what the stage predicts."""
    rows = bank.stage == stage
    classes = bank.truth.shape[1]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion.T, bank.class_index[rows], bank.truth[rows])
    return confusion


def stage_mious(bank: EmbeddingBank) -> dict[str, float]:
    """mIoU of each stage over all classes, 0 … 1; over the labelled ones where the bank was made with a class map."""
    mapped = "class_map" in bank.about
    return {stage: mean_iou(stage_confusion(bank, stage), labelled_only=mapped) for stage in bank.stages}


@dataclass(frozen=True)
class ClassSpread:
    """How a class's embeddings lie at one stage. Distances are cosine distances, 0 … 2. Ours."""

    class_index: int
    count: int
    """Images that have the class, predicted on more than the least area."""
    spread: float
    """Mean distance of its embeddings to their centroid."""
    rival: int | None
    """The class whose centroid is nearest; None where there is no other."""
    margin: float
    """Median of: distance to the rival's centroid minus distance to the own one. NaN without a rival."""
    astray: float
    """Share of embeddings that lie nearer to some other class's centroid than to their own."""


def class_spreads(bank: EmbeddingBank, stage: str, *, min_area: float) -> list[ClassSpread]:
    """Of each class that is predicted anywhere on more than `min_area` of an image, ascending by class."""
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
    """(image, mean IoU over the classes that are labelled or predicted there), the worst first."""
    rows = np.flatnonzero((bank.stage == stage) & np.isfinite(bank.iou))
    # Once each: with a class map several rows of an image may be of one class, and have its IoU.
    rows = rows[np.unique(np.stack([bank.image[rows], bank.class_index[rows]]), axis=1, return_index=True)[1]]
    images = np.unique(bank.image[rows])
    means = np.array([bank.iou[rows][bank.image[rows] == image].mean() for image in images])
    return [(int(images[i]), float(means[i])) for i in np.argsort(means, kind="stable")[:count]]


def cell_images(bank: EmbeddingBank, stage: str, *, truth: int, predicted: int, count: int) -> list[tuple[int, int]]:
    """(image, pixels) behind one cell of the confusion matrix, most pixels first."""
    rows = np.flatnonzero((bank.stage == stage) & (bank.class_index == predicted) & (bank.truth[:, truth] > 0))
    # With a class map several rows of an image may be of one class.
    images, positions = np.unique(bank.image[rows], return_inverse=True)
    pixels = np.bincount(positions, weights=bank.truth[rows, truth], minlength=len(images)).astype(np.int64)
    return [(int(images[i]), int(pixels[i])) for i in np.argsort(-pixels, kind="stable")[:count]]
