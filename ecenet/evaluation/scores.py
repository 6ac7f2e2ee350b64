"""Compute scores from pixel counts: mIoU of every stage with its confidence interval, and all other metrics."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ecenet.common.files import json_finite
from ecenet.data.inspection.class_table import label_doubts
from ecenet.evaluation.calibration import BINS, expected_calibration_error
from ecenet.evaluation.class_map import ClassMap
from ecenet.evaluation.embedding_quality import StageLayout, StageQuality, embedding_layout, embedding_quality
from ecenet.evaluation.embedding_rows import Row
from ecenet.evaluation.intervals import iou_intervals
from ecenet.evaluation.metrics import (
    boundary_mean_iou,
    intersection_over_union,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
)


@dataclass(frozen=True)
class Evaluation:
    """Scores in 0 … 1, NaN where nothing was labelled. Scores that are not dictionaries by stage are those of the
    final stage."""

    miou: float
    miou_interval: list[float]
    """[low, high]: 95 % interval of 1000 bootstrap resamples of the photos."""
    per_class: dict[str, float]
    per_class_interval: dict[str, list[float]]
    pixel_accuracy: float
    mean_accuracy: float
    stages: dict[str, float]
    """mIoU by stage."""
    stage_pixel_accuracy: dict[str, float]
    stage_mean_accuracy: dict[str, float]
    boundary_miou: dict[str, float]
    """Mean Boundary IoU by stage; NaN if it was not measured."""
    confusion: list[list[int]]
    """K×K pixel counts of the final stage, rows = target, columns = predicted; with a class map without `rest`, one
    more column for predictions outside the map."""
    calibration_error: float
    """Expected calibration error of the final mask over labelled pixels, 0 … 1; NaN with averaging."""
    embedding_quality: dict[str, StageQuality]
    """Class separation by stage, without `final`; empty if it was not measured."""
    embedding_layout: dict[str, StageLayout]
    """R² of the masks' area and position by stage, without `final`; empty if it was not measured."""
    images: int
    seconds_per_image: float
    """Median time per image from file to prediction of all stages."""
    ignored_share: float
    """Share of the masks' pixels that are 255; NaN without pixels."""

    def doubts(self, split: str) -> list[str]:
        """Warnings about probable mistakes in the labels, such as classes without pixels."""
        labelled = np.sum(self.confusion, axis=1)
        if not self.images:
            return []
        ignored = labelled.sum() * self.ignored_share / (1 - self.ignored_share) if labelled.any() else 1.0
        return label_doubts(list(self.per_class), labelled, ignored=float(ignored), split=split)

    def to_json(self) -> dict[str, object]:
        """All fields for JSON, with null for NaN."""
        figures: dict[str, object] = json_finite(asdict(self))
        return figures


@dataclass(frozen=True)
class PixelCounts:
    """Counts of one pass over the images, from which all scores are computed."""

    class_names: list[str]
    """Names of the data's K classes."""
    confusions: dict[str, np.ndarray]
    """(K, K) confusion matrix by stage; (K, K + 1) with a class map without `rest`."""
    boundaries: dict[str, np.ndarray] = field(default_factory=dict)
    """(2, K) `boundary_counts` by stage; empty if they were not measured."""
    seconds: list[float] = field(default_factory=list)
    """Time per image, from file to prediction of all stages."""
    photos: list[tuple[int, np.ndarray]] = field(default_factory=list)
    """Number of the image and (3, K) `iou_counts` of its final mask, for each image."""
    calibration: np.ndarray = field(default_factory=lambda: np.zeros((3, BINS)))
    """`calibration_counts` of the final mask; zeros with averaging."""
    rows: list[Row] = field(default_factory=list)
    """Embeddings of masks that are large and accurate enough to be measured; empty if not requested."""
    class_map: ClassMap | None = None
    pixels: list[int] = field(default_factory=list)
    """Number of pixels of each mask, labelled or not."""


def merge(parts: Sequence[PixelCounts]) -> PixelCounts:
    """Merge the counts of all parts of an evaluation; at least one part, all with the same options."""
    first = parts[0]
    return PixelCounts(
        first.class_names,
        {name: np.sum([part.confusions[name] for part in parts], axis=0) for name in first.confusions},
        {name: np.sum([part.boundaries[name] for part in parts], axis=0) for name in first.boundaries},
        [seconds for part in parts for seconds in part.seconds],
        sorted((photo for part in parts for photo in part.photos), key=lambda photo: photo[0]),
        np.sum([part.calibration for part in parts], axis=0),
        sorted((row for part in parts for row in part.rows), key=lambda row: row.image),
        first.class_map,
        [count for part in parts for count in part.pixels],
    )


def score(counts: PixelCounts, *, classes: int | None = None) -> Evaluation:
    """Compute scores; means are over the first `classes` classes, all by default.

    With a class map, only labelled classes count in the means: the weights may correctly predict classes that the data
    does not label."""
    final, mapped = counts.confusions["final"], counts.class_map is not None
    labelled = final.sum(axis=1) > 0 if mapped else None
    names = counts.class_names
    photos = np.array([found for _, found in counts.photos], dtype=np.int64).reshape(-1, 3, len(names))
    interval, class_intervals = iou_intervals(photos, classes=classes, labelled_only=mapped)
    quality, layout = _embedding_measures(counts)
    return Evaluation(
        miou=mean_iou(final, classes=classes, labelled_only=mapped),
        miou_interval=interval,
        per_class={name: float(iou) for name, iou in zip(names, intersection_over_union(final), strict=True)},
        per_class_interval=dict(zip(names, class_intervals, strict=True)),
        pixel_accuracy=pixel_accuracy(final),
        mean_accuracy=mean_accuracy(final, classes=classes),
        stages={
            name: mean_iou(confusion, classes=classes, labelled_only=mapped)
            for name, confusion in counts.confusions.items()
        },
        stage_pixel_accuracy={name: pixel_accuracy(confusion) for name, confusion in counts.confusions.items()},
        stage_mean_accuracy={
            name: mean_accuracy(confusion, classes=classes) for name, confusion in counts.confusions.items()
        },
        boundary_miou={
            name: boundary_mean_iou(counts.boundaries[name], classes=classes, labelled=labelled)
            if counts.boundaries
            else float("nan")
            for name in counts.confusions
        },
        confusion=final.tolist(),
        calibration_error=expected_calibration_error(counts.calibration),
        embedding_quality=quality,
        embedding_layout=layout,
        images=len(counts.seconds),
        seconds_per_image=float(np.median(counts.seconds)) if counts.seconds else float("nan"),
        ignored_share=1 - int(final.sum()) / sum(counts.pixels) if counts.pixels else float("nan"),
    )


def _embedding_measures(counts: PixelCounts) -> tuple[dict[str, StageQuality], dict[str, StageLayout]]:
    """Embedding measures by stage; empty if embeddings were not collected. Classes that map to `rest` are excluded,
    because the data does not distinguish them."""
    if not counts.rows:
        return {}, {}
    rest = None if counts.class_map is None else counts.class_map.rest_index
    rows = [row for row in counts.rows if row.class_index != rest]
    columns: dict[str, Any] = {
        "stages": [name for name in counts.confusions if name != "final"],
        "stage": np.array([row.stage for row in rows], dtype=np.str_),
        "image": np.array([row.image for row in rows], dtype=np.int64),
        "class_index": np.array([row.class_index for row in rows], dtype=np.int64),
        "area": np.array([row.area for row in rows]),
        "iou": np.array([row.iou for row in rows]),
        "embedding": np.array([row.embedding for row in rows]).reshape(len(rows), len(counts.rows[0].embedding)),
    }
    centre = np.array([row.centre for row in rows]).reshape(-1, 2)
    return embedding_quality(**columns), embedding_layout(**columns, centre=centre)
