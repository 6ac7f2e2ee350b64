"""Class embeddings as points: one for each image, stage and class present in the image."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecenet.analysis.embeddings.projection import StageRows
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.inference.prediction import Prediction


@dataclass(frozen=True)
class EmbeddingPoints:
    """N class embeddings with their image, stage and class; all arrays have N rows."""

    vectors: np.ndarray
    """(N, D) float32 embeddings."""
    image: np.ndarray
    """(N,) index into the predictions; reference images have the numbers after those."""
    stage: np.ndarray
    """(N,) stage names."""
    class_index: np.ndarray
    """(N,) class indices."""
    area: np.ndarray
    """(N,) share of the image that the class covers at that stage."""
    confidence: np.ndarray
    """(N,) mean confidence over those pixels; NaN if there are none."""

    def __len__(self) -> int:
        return len(self.vectors)

    def find(self, *, image: int, stage: str, class_index: int) -> int | None:
        """The row of a class at a stage of an image; None if there is no such point."""
        rows = np.flatnonzero((self.image == image) & (self.stage == stage) & (self.class_index == class_index))
        return int(rows[0]) if len(rows) else None

    def stage_rows(self) -> StageRows:
        """Stage and item (class of an image) of each row, to align projections of the stages."""
        sequence = sorted(set(self.stage.tolist()), key=_from_coarse)
        most = 1 + int(self.class_index.max(initial=0))
        return StageRows(self.stage, self.image.astype(np.int64) * most + self.class_index, tuple(sequence))


def _from_coarse(stage: str) -> int:
    """Sort key that orders `ece` before `stageL` … `stage1`."""
    return -int(stage.removeprefix("stage")) if stage.startswith("stage") else -sys.maxsize


def with_reference(points: EmbeddingPoints, reference: EmbeddingPoints, *, images: int) -> EmbeddingPoints:
    """Points of both, reference first; reference images are numbered from `images`."""
    if not len(points):
        return replace(reference, image=reference.image + images)
    return EmbeddingPoints(
        vectors=np.concatenate([reference.vectors, points.vectors]),
        image=np.concatenate([reference.image + images, points.image]),
        stage=np.concatenate([reference.stage, points.stage]),
        class_index=np.concatenate([reference.class_index, points.class_index]),
        area=np.concatenate([reference.area, points.area]),
        confidence=np.concatenate([reference.confidence, points.confidence]),
    )


def embedding_points(predictions: Sequence[Prediction], *, min_area: float = 0.005) -> EmbeddingPoints:
    """Collect the embeddings of classes whose *final* mask covers more than `min_area` of their image.

    Each of these classes has a point at every stage with embeddings, so that its path can be followed. `final` has
    none: it uses the embeddings of `stage1`. Not from the paper.
    """
    rows = [
        (index, name, k, stage.area[k], stage.mean_confidence[k], stage.embeddings[k])
        for index, prediction in enumerate(predictions)
        for k in prediction.final.present(min_area=min_area)
        for name, stage in prediction.stages.items()
        if name != "final"
    ]
    if not rows:
        empty = np.zeros(0)
        return EmbeddingPoints(
            np.zeros((0, 1), np.float32), empty.astype(int), empty.astype(str), empty.astype(int), empty, empty
        )
    image, stage, class_index, area, confidence, vectors = zip(*rows, strict=True)
    return EmbeddingPoints(
        vectors=np.stack(vectors),
        image=np.array(image),
        stage=np.array(stage),
        class_index=np.array(class_index),
        area=np.array(area),
        confidence=np.array(confidence),
    )


def reference_points(bank: EmbeddingBank, *, min_area: float) -> EmbeddingPoints:
    """Embeddings at all stages of the bank's classes that cover more than `min_area` of their image at the finest
    stage; images are indices into `bank.images`."""
    finest = bank.stage == bank.stages[-1]
    classes = len(bank.about["class_names"])
    place = bank.image * classes + bank.class_index
    rows = np.isin(place, place[finest & (bank.area > min_area)])
    return EmbeddingPoints(
        vectors=bank.embedding[rows],
        image=bank.image[rows],
        stage=bank.stage[rows],
        class_index=bank.class_index[rows],
        area=bank.area[rows],
        confidence=bank.confidence[rows],
    )
