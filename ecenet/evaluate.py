"""Score weights on a labelled folder: mIoU of every stage."""

import time
from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from ecenet.data.folder import FolderSplit
from ecenet.errors import UserError
from ecenet.metrics import confusion_matrix, intersection_over_union, mean_iou, pixel_accuracy
from ecenet.predictor import Predictor


@dataclass(frozen=True)
class Evaluation:
    """Scores in 0 … 1; `per_class` and `pixel_accuracy` are the final stage's. NaN becomes null in JSON."""

    miou: float
    per_class: dict[str, float | None]
    pixel_accuracy: float
    stages: dict[str, float]
    images: int
    seconds_per_image: float
    """Median time from file to prediction of all stages."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def evaluate(
    predictor: Predictor, data: FolderSplit, *, classes: int | None = None, limit: int | None = None
) -> Evaluation:
    """Predict every image at its own size and count pixels.

    Args:
        classes: restricts the means to the first so many classes; predictions stay free to be any class.
        limit: look at so many images only, evenly spread.
    Raises:
        UserError: the data's classes are not the weights' classes, or a file is bad.
    """
    names = predictor.model.class_names
    if data.labels.class_names != names:
        raise UserError(
            f"Expected the weights' {len(names)} classes ({', '.join(names[:4])}, …) in {data.root}/classes.json, "
            f"got {data.labels.num_classes} ({', '.join(data.labels.class_names[:4])}, …); use data with the same classes."
        )
    if classes is not None and not 1 <= classes <= len(names):
        raise UserError(f"Expected --classes between 1 and {len(names)}, got {classes}; choose a number in that range.")

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

    final = confusions["final"]
    iou = intersection_over_union(final)
    return Evaluation(
        miou=mean_iou(final, classes=classes),
        per_class={name: None if np.isnan(value) else float(value) for name, value in zip(names, iou, strict=True)},
        pixel_accuracy=pixel_accuracy(final),
        stages={name: mean_iou(confusion, classes=classes) for name, confusion in confusions.items()},
        images=len(picked),
        seconds_per_image=float(np.median(seconds)),
    )
