"""What an edit changed: two predictions of one photo, stage by stage."""

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
    """What an edit changed at one stage. H×W the photo, h×w the stage's grid, K classes of both predictions together;
    a class that only one of them has counts as absent in the other."""

    stage: str
    changed: np.ndarray
    """(H, W) bool: pixels whose class is another."""
    changed_share: float
    """0 … 1 of the photo's pixels."""
    area: np.ndarray
    """(K,) change of the share of the photo, −1 … 1; sums to 0."""
    lost: np.ndarray
    """(K,) int64 pixels that were the class's and no longer are."""
    gained: np.ndarray
    """(K,) int64 pixels that are the class's and were not."""
    cosine_distance: np.ndarray
    """(K,) 0 … 2 between the embeddings that left the stage before and after; NaN for a class that one has only."""
    similarity: np.ndarray
    """(k, h, w) float32 change of the similarity maps, of the k classes that both have."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What an edit changed, stage by stage. S stages, coarse to fine."""

    class_names: list[str]
    """Of both predictions together."""
    stages: dict[str, StageChange]
    mean_iou: np.ndarray | None
    """(S,) change of the mean IoU over the truth's classes, −1 … 1; None without a truth."""
    mean_iou_before: np.ndarray | None = None
    """(S,) what it was."""

    @property
    def unseen(self) -> list[str]:
        """Classes that one prediction has only, and no pixel at these stages, as may happen to what is painted."""
        changes = self.stages.values()
        return [
            name
            for k, name in enumerate(self.class_names)
            if all(np.isnan(change.cosine_distance[k]) and not change.gained[k] + change.lost[k] for change in changes)
        ]


class ClassChange(NamedTuple):
    """What an edit changed of one class at one stage."""

    class_index: int
    area_before: float
    """Share of the photo, 0 … 1."""
    area_after: float
    lost: int
    """Pixels that were the class's and no longer are."""
    gained: int
    """Pixels that are the class's and were not."""
    cosine_distance: float
    """0 … 2 between its embeddings before and after; NaN for a class that one prediction has only."""


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
"""A `ClassChange`, JSON-able; null for an embedding that one prediction has only."""


class StageReport(TypedDict):
    """What an edit changed at one stage, JSON-able; null without a truth."""

    stage: str
    changed_share: float
    mean_iou_before: float | None
    mean_iou_after: float | None
    classes: list[ChangedClass]


def compare(before: Prediction, after: Prediction, *, truth: np.ndarray | None = None) -> Comparison:
    """Two predictions of one photo by the same weights.

    Args:
        after: of all stages, or only of some.
        truth: (H, W) uint8 class indices, 255 = ignore, with at least one labelled pixel. Classes that an edit added
            are never true.
    Raises:
        UserError: predictions of different photos or weights, or a truth that is not of this photo or these classes.
    """
    longer, shorter = sorted((before.class_names, after.class_names), key=len, reverse=True)
    if before.image.size != after.image.size or not set(after.stages) <= set(before.stages):
        raise UserError(
            "wrong-data", "Expected two predictions of one photo by one model, got others; compare with the same photo."
        )
    if longer[: len(shorter)] != shorter:
        raise UserError(
            "wrong-classes",
            "Expected predictions with the same classes, got others; predict both with the same weights.",
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
    check_size(truth, size=size, what="a truth")
    values = truth[truth != IGNORE_INDEX]
    if not values.size or values.max() >= num_classes:
        came = f"a value of {values.max()}" if values.size else f"nothing but {IGNORE_INDEX}"
        raise UserError(
            "unknown-mask-value", f"Expected a truth with classes of 0 … {num_classes - 1}, got {came}; choose another."
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
    """Of the classes that either prediction gives any pixel at the stage, those that lost and won most first.

    Args:
        after: the stage as it is with the edit, of all classes of both predictions.
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
    """A comparison in numbers, stage by stage.

    Args:
        after: the prediction with the edit, of all classes of both.
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
    """(k,) with zeros behind up to a length."""
    return np.pad(values, (0, length - len(values)))
