"""Score weights on a labelled folder: mIoU of every stage."""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from ecenet.data.split import LabelledSplit
from ecenet.errors import UserError
from ecenet.metrics import confusion_matrix, intersection_over_union, mean_iou, pixel_accuracy
from ecenet.predictor import Predictor


@dataclass(frozen=True)
class Evaluation:
    """Scores in 0 … 1, NaN where nothing was labelled; `per_class` and `pixel_accuracy` are the final stage's."""

    miou: float
    per_class: dict[str, float]
    pixel_accuracy: float
    stages: dict[str, float]
    images: int
    seconds_per_image: float
    """Median time from file to prediction of all stages."""

    def to_json(self) -> dict[str, object]:
        """NaN, which JSON lacks, becomes null."""
        return {key: _without_nan(value) for key, value in asdict(self).items()}


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


@dataclass(frozen=True)
class PixelCounts:
    """One pass over the images; scores of any kind follow from it."""

    class_names: list[str]
    confusions: dict[str, np.ndarray]
    """(K, K) of each stage."""
    images: int
    seconds_per_image: float


def evaluate(
    predictor: Predictor, data: LabelledSplit, *, classes: int | None = None, limit: int | None = None
) -> Evaluation:
    """Predict every image at its own size and score every stage.

    Args:
        classes: restricts the means to the first so many classes; predictions stay free to be any class.
        limit: look at so many images only, evenly spread.
    Raises:
        UserError: the data's classes are not the weights' classes, or a file is bad.
    """
    check_classes(classes, predictor.model.class_names)
    return score(count_pixels(predictor, data, limit=limit), classes=classes)


def check_classes(classes: int | None, names: list[str]) -> None:
    """Refuse a number of classes that there is not."""
    if classes is not None and not 1 <= classes <= len(names):
        raise UserError(f"Expected --classes between 1 and {len(names)}, got {classes}; choose a number in that range.")


def count_pixels(predictor: Predictor, data: LabelledSplit, *, limit: int | None = None) -> PixelCounts:
    """Predict every image at its own size and count pixels; arguments and errors as for `evaluate`."""
    names = predictor.model.class_names
    if data.labels.class_names != names:
        raise UserError(
            f"Expected the weights' {len(names)} classes ({', '.join(names[:4])}, …) in {data.root}/classes.json, "
            f"got {data.labels.num_classes} ({', '.join(data.labels.class_names[:4])}, …); "
            "use data with the same classes."
        )
    if limit is not None and limit < 1:
        raise UserError(f"Expected --limit of at least 1, got {limit}; leave it out to score all images.")

    picked = np.linspace(0, len(data) - 1, min(limit or len(data), len(data))).round().astype(int)
    confusions: dict[str, np.ndarray] = {}
    seconds = []
    for index in tqdm(picked, desc=f"Evaluating {data.split}", unit="image", leave=False):
        start = time.perf_counter()
        prediction = predictor.predict(data.images[index])
        seconds.append(time.perf_counter() - start)
        target = data.load_mask(index, size=prediction.image.size)
        for name, stage in prediction.stages.items():
            counted = confusion_matrix(target, stage.label_map, num_classes=len(names))
            confusions[name] = confusions.get(name, 0) + counted

    return PixelCounts(names, confusions, images=len(picked), seconds_per_image=float(np.median(seconds)))


def score(counts: PixelCounts, *, classes: int | None = None) -> Evaluation:
    """Means over the first `classes` classes, all by default."""
    final = counts.confusions["final"]
    iou = intersection_over_union(final)
    return Evaluation(
        miou=mean_iou(final, classes=classes),
        per_class={name: float(value) for name, value in zip(counts.class_names, iou, strict=True)},
        pixel_accuracy=pixel_accuracy(final),
        stages={name: mean_iou(confusion, classes=classes) for name, confusion in counts.confusions.items()},
        images=counts.images,
        seconds_per_image=counts.seconds_per_image,
    )
