"""Evaluate weights on a labelled split: predict every image once and accumulate the counts for all metrics."""

import time
from pathlib import Path

import numpy as np
from accelerate.utils import gather_object
from tqdm import tqdm

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.split import LabelledSplit, evenly_spread
from ecenet.evaluation.calibration import answer_confidence, calibration_counts
from ecenet.evaluation.class_map import ClassMap
from ecenet.evaluation.embedding_quality import measurable
from ecenet.evaluation.embedding_rows import embedding_rows
from ecenet.evaluation.intervals import iou_counts
from ecenet.evaluation.metrics import boundary_counts, confusion_matrix, inner_band
from ecenet.evaluation.scores import Evaluation, PixelCounts, merge, score
from ecenet.evaluation.tta import Averaging, averaged_label_maps
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor


def evaluate(
    predictor: Predictor,
    data: LabelledSplit,
    *,
    classes: int | None = None,
    limit: int | None = None,
    boundary: bool = False,
    averaging: Averaging | None = None,
    embeddings: bool = False,
    class_map: ClassMap | None = None,
) -> Evaluation:
    """Predict every image at its own size and compute the metrics of every stage.

    With a distributed launcher the images are split among the processes, and each returns the metrics of all images.

    Args:
        classes: average over the first `classes` classes only; predictions can still be any class.
        limit: use only this many images, evenly spaced.
        boundary: also compute Boundary IoU (slow).
        averaging: test-time augmentation; none by default. Averaged predictions have no embeddings and no calibration
            error.
        embeddings: also measure how well the embeddings of each stage separate the classes.
        class_map: maps the classes of the weights to those of the data, if they differ; means are then over the
            labelled classes of the data.
    Raises:
        UserError: the classes of data and weights differ, a file cannot be read, or an option is out of range.
    """
    check_classes(classes, predictor.model.class_names if class_map is None else class_map.class_names)
    state = this_process()
    counts = count_pixels(
        predictor,
        data,
        limit=limit,
        boundary=boundary,
        averaging=averaging,
        embeddings=embeddings,
        class_map=class_map,
        part=state.process_index,
        parts=state.num_processes,
    )
    return score(merge(gather_object([counts])), classes=classes)


def check_classes(classes: int | None, names: list[str]) -> None:
    """Raise a UserError if the number of classes is out of range."""
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
    embeddings: bool = False,
    class_map: ClassMap | None = None,
    part: int = 0,
    parts: int = 1,
) -> PixelCounts:
    """Predict every image at its own size and count pixels. Other arguments and errors as for `evaluate`.

    Args:
        part, parts: use only every `parts`-th image, starting at the `part`-th, to split the work among processes;
            `merge` adds their counts. A part can be empty.
    """
    if class_map is None:
        check_labels(predictor, data)
    names = data.labels.class_names
    columns = len(names) if class_map is None else len(class_map.predicted_names)
    if not 0 <= part < parts:
        raise UserError(
            "out-of-range",
            f"Expected a part between 0 and the number of parts minus 1, got {part} of {parts}; correct it.",
        )
    averaging = averaging or Averaging()
    averaging.check(predictor)

    picked = picked_images(data, limit=limit)[part::parts]
    counts = PixelCounts(
        class_names=names,
        confusions={name: np.zeros((len(names), columns), np.int64) for name in predictor.model.stage_names},
        boundaries={name: np.zeros((2, len(names)), np.int64) for name in predictor.model.stage_names if boundary},
        class_map=class_map,
    )
    for position, index in enumerate(
        tqdm(picked, desc=f"Evaluating {data.split}", unit="image", leave=False, disable=part > 0)
    ):
        number = part + position * parts
        start = time.perf_counter()
        label_maps, prediction = _look(predictor, data.images[index], averaging)
        counts.seconds.append(time.perf_counter() - start)
        height, width = label_maps["final"].shape
        target = data.load_mask(index, size=(width, height))
        counts.pixels.append(target.size)
        if class_map is not None:
            label_maps = {name: class_map.apply(label_map) for name, label_map in label_maps.items()}
        for name, label_map in label_maps.items():
            confusion = confusion_matrix(target, label_map, num_classes=len(names), num_predicted=columns)
            counts.confusions[name] += confusion
            if name == "final":
                counts.photos.append((number, iou_counts(confusion)))
        if boundary:
            band = inner_band(target)
            for name, label_map in label_maps.items():
                found = boundary_counts(target, label_map, target_band=band, num_classes=columns)
                counts.boundaries[name] += found[:, : len(names)]
        if prediction is not None:
            labelled = target != IGNORE_INDEX
            right = label_maps["final"][labelled] == target[labelled]
            confidence = answer_confidence(prediction.final, class_map)[labelled]
            counts.calibration[:] += calibration_counts(right, confidence)
        if prediction is not None and embeddings:
            rows = embedding_rows(prediction, target, image=number, class_map=class_map)
            counts.rows.extend(row for row in rows if measurable(row.area, row.iou))
    return counts


def check_labels(predictor: Predictor, data: LabelledSplit) -> None:
    """Raise a UserError if the classes of data and weights differ."""
    names = predictor.model.class_names
    if data.labels.class_names != names:
        raise UserError(
            "wrong-classes",
            f"Expected the weights' {len(names)} classes ({', '.join(names[:4])}, …) in {data.root}/classes.json, "
            f"got {data.labels.num_classes} ({', '.join(data.labels.class_names[:4])}, …); "
            "use data with the same classes, or give a class map to `evaluate` and `embed` with --map.",
        )


def picked_images(data: LabelledSplit, *, limit: int | None) -> np.ndarray:
    """Indices of `limit` evenly spaced images; of all images without a limit.

    Raises:
        UserError: the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise UserError("out-of-range", f"Expected --limit of at least 1, got {limit}; omit it to use all images.")
    return evenly_spread(len(data), limit=limit)


def _look(predictor: Predictor, path: Path, averaging: Averaging) -> tuple[dict[str, np.ndarray], Prediction | None]:
    """(H, W) uint8 classes of the weights by stage, and the prediction; None instead with averaging."""
    if averaging != Averaging():
        return averaged_label_maps(predictor, path, averaging), None
    prediction = predictor.predict(path)
    return {name: stage.label_map for name, stage in prediction.stages.items()}, prediction
