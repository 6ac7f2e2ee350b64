"""Score weights on a labelled folder: mIoU of every stage, and what else is reported."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from accelerate.utils import gather_object
from tqdm import tqdm

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.common.files import json_finite
from ecenet.data.split import LabelledSplit, evenly_spread
from ecenet.evaluation.metrics import (
    boundary_counts,
    boundary_mean_iou,
    confusion_matrix,
    inner_band,
    intersection_over_union,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
)
from ecenet.evaluation.tta import Averaging, averaged_label_maps
from ecenet.inference.predictor import Predictor


@dataclass(frozen=True)
class Evaluation:
    """Scores in 0 … 1, NaN where nothing was labelled; those that are no dictionary by stage are the final stage's."""

    miou: float
    per_class: dict[str, float]
    pixel_accuracy: float
    mean_accuracy: float
    stages: dict[str, float]
    """mIoU by stage."""
    stage_pixel_accuracy: dict[str, float]
    stage_mean_accuracy: dict[str, float]
    boundary_miou: dict[str, float]
    """By stage; NaN where it was not measured."""
    confusion: list[list[int]]
    """K×K pixels of the final stage, rows = target, columns = predicted."""
    images: int
    seconds_per_image: float
    """Median time from file to prediction of all stages."""

    def to_json(self) -> dict[str, object]:
        """NaN, which JSON lacks, becomes null."""
        figures: dict[str, object] = json_finite(asdict(self))
        return figures


@dataclass(frozen=True)
class PixelCounts:
    """One pass over the images; scores of any kind follow from it."""

    class_names: list[str]
    confusions: dict[str, np.ndarray]
    """(K, K) of each stage."""
    boundaries: dict[str, np.ndarray] = field(default_factory=dict)
    """(2, K) `boundary_counts` of each stage; empty where they were not measured."""
    seconds: list[float] = field(default_factory=list)
    """Of each image, from file to prediction of all stages."""


def evaluate(
    predictor: Predictor,
    data: LabelledSplit,
    *,
    classes: int | None = None,
    limit: int | None = None,
    boundary: bool = False,
    averaging: Averaging | None = None,
) -> Evaluation:
    """Predict every image at its own size and score every stage.

    Under a launcher the processes share the images, and each returns the scores of all.

    Args:
        classes: restricts the means to the first so many classes; predictions stay free to be any class.
        limit: look at so many images only, evenly spread.
        boundary: measure Boundary IoU as well, which takes its time.
        averaging: average several looks at each image; one look by default.
    Raises:
        UserError: the data's classes are not the weights' classes, a file is bad, or an option is out of range.
    """
    check_classes(classes, predictor.model.class_names)
    state = this_process()
    counts = count_pixels(
        predictor,
        data,
        limit=limit,
        boundary=boundary,
        averaging=averaging,
        part=state.process_index,
        parts=state.num_processes,
    )
    return score(merge(gather_object([counts])), classes=classes)


def check_classes(classes: int | None, names: list[str]) -> None:
    """Refuse a number of classes that there is not."""
    if classes is not None and not 1 <= classes <= len(names):
        raise UserError(
            "out-of-range",
            f"Expected --classes between 1 and {len(names)}, got {classes}; choose a number in that range.",
        )


def count_pixels(
    predictor: Predictor,
    data: LabelledSplit,
    *,
    limit: int | None = None,
    boundary: bool = False,
    averaging: Averaging | None = None,
    part: int = 0,
    parts: int = 1,
) -> PixelCounts:
    """Predict every image at its own size and count pixels; other arguments and errors as for `evaluate`.

    Args:
        part, parts: look at every `parts`-th image only, from the `part`-th on, so that several processes can share
            the work; `merge` sums what they counted. A part may have no image at all.
    """
    check_labels(predictor, data)
    names = predictor.model.class_names
    if not 0 <= part < parts:
        raise UserError(
            "out-of-range",
            f"Expected a part from 0 to one below the number of parts, got {part} of {parts}; correct it.",
        )
    averaging = averaging or Averaging()
    averaging.check(predictor)

    picked = picked_images(data, limit=limit)[part::parts]
    confusions = {name: np.zeros((len(names), len(names)), np.int64) for name in predictor.model.stage_names}
    boundaries = {name: np.zeros((2, len(names)), np.int64) for name in confusions if boundary}
    seconds = []
    for index in tqdm(picked, desc=f"Evaluating {data.split}", unit="image", leave=False, disable=part > 0):
        start = time.perf_counter()
        label_maps = _label_maps(predictor, data.images[index], averaging)
        seconds.append(time.perf_counter() - start)
        height, width = label_maps["final"].shape
        target = data.load_mask(index, size=(width, height))
        for name, label_map in label_maps.items():
            confusions[name] += confusion_matrix(target, label_map, num_classes=len(names))
        if boundary:
            band = inner_band(target)
            for name, label_map in label_maps.items():
                boundaries[name] += boundary_counts(target, label_map, target_band=band, num_classes=len(names))

    return PixelCounts(names, confusions, boundaries, seconds)


def check_labels(predictor: Predictor, data: LabelledSplit) -> None:
    """Refuse data whose classes are not the weights' classes."""
    names = predictor.model.class_names
    if data.labels.class_names != names:
        raise UserError(
            "wrong-classes",
            f"Expected the weights' {len(names)} classes ({', '.join(names[:4])}, …) in {data.root}/classes.json, "
            f"got {data.labels.num_classes} ({', '.join(data.labels.class_names[:4])}, …); "
            "use data with the same classes.",
        )


def picked_images(data: LabelledSplit, *, limit: int | None) -> np.ndarray:
    """Indices of `limit` images, evenly spread; of all without a limit.

    Raises:
        UserError: the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise UserError(
            "out-of-range", f"Expected --limit of at least 1, got {limit}; leave it out to look at all images."
        )
    return evenly_spread(len(data), limit=limit)


def _label_maps(predictor: Predictor, path: Path, averaging: Averaging) -> dict[str, np.ndarray]:
    """Stage → (H, W) uint8."""
    if averaging != Averaging():
        return averaged_label_maps(predictor, path, averaging)
    return {name: stage.label_map for name, stage in predictor.predict(path).stages.items()}


def merge(parts: Sequence[PixelCounts]) -> PixelCounts:
    """The counts of all parts of one evaluation together; at least one part, all counted with the same options."""
    first = parts[0]
    return PixelCounts(
        first.class_names,
        {name: np.sum([part.confusions[name] for part in parts], axis=0) for name in first.confusions},
        {name: np.sum([part.boundaries[name] for part in parts], axis=0) for name in first.boundaries},
        [seconds for part in parts for seconds in part.seconds],
    )


def score(counts: PixelCounts, *, classes: int | None = None) -> Evaluation:
    """Means over the first `classes` classes, all by default."""
    final = counts.confusions["final"]
    iou = intersection_over_union(final)
    return Evaluation(
        miou=mean_iou(final, classes=classes),
        per_class={name: float(value) for name, value in zip(counts.class_names, iou, strict=True)},
        pixel_accuracy=pixel_accuracy(final),
        mean_accuracy=mean_accuracy(final, classes=classes),
        stages={name: mean_iou(confusion, classes=classes) for name, confusion in counts.confusions.items()},
        stage_pixel_accuracy={name: pixel_accuracy(confusion) for name, confusion in counts.confusions.items()},
        stage_mean_accuracy={
            name: mean_accuracy(confusion, classes=classes) for name, confusion in counts.confusions.items()
        },
        boundary_miou={
            name: boundary_mean_iou(counts.boundaries[name], classes=classes) if counts.boundaries else float("nan")
            for name in counts.confusions
        },
        confusion=final.tolist(),
        images=len(counts.seconds),
        seconds_per_image=float(np.median(counts.seconds)) if counts.seconds else float("nan"),
    )
