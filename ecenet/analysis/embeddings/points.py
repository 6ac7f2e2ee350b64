"""Class embeddings as points: one for each image, stage and class that is really there."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecenet.analysis.embeddings.projection import StageRows
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.inference.prediction import Prediction


@dataclass(frozen=True)
class EmbeddingPoints:
    """N class embeddings and what they belong to; all arrays have N rows."""

    vectors: np.ndarray
    """(N, D) float32."""
    image: np.ndarray
    """(N,) index into the predictions; of reference images, which have none here, the numbers after those."""
    stage: np.ndarray
    """(N,) stage names."""
    class_index: np.ndarray
    """(N,)."""
    area: np.ndarray
    """(N,) share of the image that the class covers at that stage."""
    confidence: np.ndarray
    """(N,) mean confidence over those pixels; NaN without any."""

    def __len__(self) -> int:
        return len(self.vectors)

    def find(self, *, image: int, stage: str, class_index: int) -> int | None:
        """The row of one class at one stage of one image; None where it has no point."""
        rows = np.flatnonzero((self.image == image) & (self.stage == stage) & (self.class_index == class_index))
        return int(rows[0]) if len(rows) else None

    def stage_rows(self) -> StageRows:
        """What ties each class of each image together through the stages."""
        sequence = sorted(set(self.stage.tolist()), key=_from_coarse)
        most = 1 + int(self.class_index.max(initial=0))
        return StageRows(self.stage, self.image.astype(np.int64) * most + self.class_index, tuple(sequence))


def _from_coarse(stage: str) -> int:
    """Sorts `ece` before `stageL` … `stage1`."""
    return -int(stage.removeprefix("stage")) if stage.startswith("stage") else -sys.maxsize


def with_reference(points: EmbeddingPoints, reference: EmbeddingPoints, *, images: int) -> EmbeddingPoints:
    """The reference's rows first; its images are numbered from `images` on."""
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

    Every such class appears at every stage that makes embeddings, so that its way can be followed. `final` has none
    of its own: it uses what `stage1` left. Ours.
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
    """The bank's embeddings of classes that cover more than `min_area` of their image at the finest stage, at every
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
