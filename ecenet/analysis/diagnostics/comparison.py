"""Compare two predictions of a photo, before and after an edit, by stage."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple, TypedDict

import numpy as np

from ecenet.analysis.diagnostics.ground_truth import compare_with_truth
from ecenet.analysis.embeddings.cosine import paired_distances
from ecenet.analysis.interventions.regions import check_size
from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.inference.prediction import Prediction, StagePrediction


@dataclass(frozen=True, eq=False)
class StageChange:
    """Changes at one stage. H×W is the size of the photo, h×w that of the stage's grid, K the number of classes of both
    predictions together; a class that only one of them has counts as absent in the other."""

    stage: str
    changed: np.ndarray
    """(H, W) bool: pixels that changed class."""
    changed_share: float
    """Share of the photo's pixels that changed class, 0 … 1."""
    area: np.ndarray
    """(K,) change of each class's share of the photo, −1 … 1; sums to 0."""
    lost: np.ndarray
    """(K,) int64 number of pixels that each class lost."""
    gained: np.ndarray
    """(K,) int64 number of pixels that each class gained."""
    cosine_distance: np.ndarray
    """(K,) cosine distance (0 … 2) between the stage's embeddings before and after; NaN if only one prediction has the
    class."""
    similarity: np.ndarray
    """(k, h, w) float32 change of the similarity maps of the k classes that both predictions have."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Changes of S stages, coarse to fine."""

    class_names: list[str]
    """Names of the classes of both predictions together."""
    stages: dict[str, StageChange]
    mean_iou: np.ndarray | None
    """(S,) change of the mean IoU over the classes in the ground truth, −1 … 1; None without ground truth."""
    mean_iou_before: np.ndarray | None = None
    """(S,) mean IoU before; None without ground truth."""

    @property
    def unseen(self) -> list[str]:
        """Classes that only one prediction has and that get no pixels at these stages, e.g. an unsuccessful painted
        class."""
        changes = self.stages.values()
        return [
            name
            for k, name in enumerate(self.class_names)
            if all(np.isnan(change.cosine_distance[k]) and not change.gained[k] + change.lost[k] for change in changes)
        ]


class ClassChange(NamedTuple):
    """Changes of one class at one stage."""

    class_index: int
    area_before: float
    """Share of the photo before and after, 0 … 1."""
    area_after: float
    lost: int
    """Number of pixels lost."""
    gained: int
    """Number of pixels gained."""
    cosine_distance: float
    """Cosine distance (0 … 2) between the embeddings before and after; NaN if only one prediction has the class."""


ChangedClass = TypedDict(
    "ChangedClass",
    {
        "class": str,
        "area_before": float,
        "area_after": float,
        "lost": int,
        "gained": int,
        "embedding_moved": float | None,
    },
)
"""A `ClassChange` for JSON; the distance is null if only one prediction has the class."""


class StageReport(TypedDict):
    """Changes at one stage for JSON; mIoU is null without ground truth."""

    stage: str
    changed_share: float
    mean_iou_before: float | None
    mean_iou_after: float | None
    classes: list[ChangedClass]


def compare(before: Prediction, after: Prediction, *, truth: np.ndarray | None = None) -> Comparison:
    """Compare two predictions of a photo by the same weights.

    Args:
        after: the prediction with the edit, of all stages or some.
        truth: (H, W) uint8 class indices, 255 = ignore, with at least one labelled pixel. Classes added by an edit
            always count as wrong.
    Raises:
        UserError: predictions of different photos or weights, or a mask that does not fit the photo or classes.
    """
    longer, shorter = sorted((before.class_names, after.class_names), key=len, reverse=True)
    if before.image.size != after.image.size or not set(after.stages) <= set(before.stages):
        raise UserError(
            "wrong-data", "Expected two predictions of the same photo by the same model; compare with the same photo."
        )
    if longer[: len(shorter)] != shorter:
        raise UserError(
            "wrong-classes",
            "Expected predictions with the same classes; predict both with the same weights.",
        )
    stages = {
        name: _stage_change(name, before.stages[name], stage, num_classes=len(longer))
        for name, stage in after.stages.items()
    }
    mean_iou = mean_iou_before = None
    if truth is not None:
        _check_truth(truth, size=before.image.size, num_classes=len(shorter))
        kept = replace(before, stages={name: before.stages[name] for name in after.stages})
        mean_iou_before = compare_with_truth(kept, truth).mean_iou
        mean_iou = compare_with_truth(after, truth).mean_iou - mean_iou_before
    return Comparison(class_names=longer, stages=stages, mean_iou=mean_iou, mean_iou_before=mean_iou_before)


def _check_truth(truth: np.ndarray, *, size: tuple[int, int], num_classes: int) -> None:
    check_size(truth, size=size, what="a ground-truth mask")
    values = truth[truth != IGNORE_INDEX]
    if not values.size or values.max() >= num_classes:
        came = f"a value of {values.max()}" if values.size else f"only {IGNORE_INDEX}"
        raise UserError(
            "unknown-mask-value",
            f"Expected ground truth with classes 0 … {num_classes - 1}, got {came}; choose another mask.",
        )


def _stage_change(name: str, before: StagePrediction, after: StagePrediction, *, num_classes: int) -> StageChange:
    changed = before.label_map != after.label_map
    both = min(len(before.embeddings), len(after.embeddings))
    distance = np.full(num_classes, np.nan, dtype=np.float32)
    distance[:both] = paired_distances(before.embeddings[:both], after.embeddings[:both])
    return StageChange(
        stage=name,
        changed=changed,
        changed_share=float(changed.mean()),
        area=_padded(after.area, num_classes) - _padded(before.area, num_classes),
        lost=np.bincount(before.label_map[changed], minlength=num_classes),
        gained=np.bincount(after.label_map[changed], minlength=num_classes),
        cosine_distance=distance,
        similarity=after.similarity[:both] - before.similarity[:both],
    )


def class_changes(change: StageChange, *, after: StagePrediction) -> list[ClassChange]:
    """Changes of the classes that have pixels at the stage in either prediction, largest changes first.

    Args:
        after: the stage with the edit, with all classes of both predictions.
    """
    seen = (after.area > 0) | (change.lost > 0)
    order = np.argsort(-(change.lost + change.gained), kind="stable")
    return [
        ClassChange(
            class_index=int(k),
            area_before=float(after.area[k] - change.area[k]),
            area_after=float(after.area[k]),
            lost=int(change.lost[k]),
            gained=int(change.gained[k]),
            cosine_distance=float(change.cosine_distance[k]),
        )
        for k in order
        if seen[k]
    ]


def describe_changes(comparison: Comparison, after: Prediction) -> list[StageReport]:
    """A comparison for JSON, by stage.

    Args:
        after: the prediction with the edit, with all classes of both predictions.
    """
    reports: list[StageReport] = []
    for number, (name, change) in enumerate(comparison.stages.items()):
        before, gain = (
            None if values is None else float(values[number])
            for values in (comparison.mean_iou_before, comparison.mean_iou)
        )
        classes: list[ChangedClass] = [
            {
                "class": after.class_names[row.class_index],
                "area_before": row.area_before,
                "area_after": row.area_after,
                "lost": row.lost,
                "gained": row.gained,
                "embedding_moved": None if math.isnan(row.cosine_distance) else row.cosine_distance,
            }
            for row in class_changes(change, after=after.stages[name])
        ]
        reports.append(
            {
                "stage": name,
                "changed_share": change.changed_share,
                "mean_iou_before": before,
                "mean_iou_after": None if before is None or gain is None else before + gain,
                "classes": classes,
            }
        )
    return reports


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """Values padded with zeros at the end to a length."""
    return np.pad(values, (0, length - len(values)))
