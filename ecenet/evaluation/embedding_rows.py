"""Class embeddings of one labelled image, each with the quality of its mask."""

from typing import NamedTuple

import numpy as np

from ecenet.evaluation.class_map import ClassMap
from ecenet.evaluation.metrics import confusion_matrix
from ecenet.inference.prediction import Prediction


class Row(NamedTuple):
    """One class of one image at one stage; K is the number of the weights' classes or of those they map to."""

    image: int
    stage: str
    class_index: int
    area: float
    confidence: float
    truth: np.ndarray
    """(K,) int64 number of the mask's pixels by true class."""
    iou: float
    embedding: np.ndarray
    """(D,) float32 embedding."""
    centre: np.ndarray
    """(2,) x and y of the mask's centre, 0 … 1 from the top left; NaN for an empty mask."""


def embedding_rows(
    prediction: Prediction, target: np.ndarray, *, image: int, class_map: ClassMap | None = None
) -> list[Row]:
    """Rows of one image: one per stage and class that is predicted or labelled.

    With a class map, each predicted class of the weights keeps its own row, with the class, truth and IoU of the class
    that it maps to; outside the map the IoU is NaN. A class that is labelled but not predicted gets the row of the
    first class of the weights that maps to it.

    Args:
        target: (H, W) uint8 class indices of the data; 255 is ignored.
        image: index of the image.
    """
    known = len(prediction.class_names)
    counts_as = np.arange(known) if class_map is None else class_map.targets
    labelled = known if class_map is None else len(class_map.class_names)
    width = known if class_map is None else len(class_map.predicted_names)
    first = np.unique(counts_as, return_index=True)[1].tolist()
    rows = []
    for name, stage in prediction.stages.items():
        if name == "final":
            continue
        own = confusion_matrix(target, stage.label_map, num_classes=labelled, num_predicted=known)  # rows: ground truth
        confusion = np.zeros((width, width), dtype=np.int64)
        np.add.at(confusion[:labelled].T, counts_as, own.T)
        hit, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        areas = np.bincount(counts_as, weights=stage.area, minlength=width)
        centres = mask_centres(stage.label_map, num_classes=known)
        for k in range(known):
            target_class = int(counts_as[k])
            missed = true[target_class] > 0 and not areas[target_class] and k in first
            if not (stage.area[k] > 0 or missed):
                continue
            union = true[target_class] + predicted[target_class] - hit[target_class]
            judged = union > 0 and target_class < labelled
            truth = np.zeros(width, dtype=np.int64)
            truth[:labelled] = own[:, k]
            rows.append(
                Row(
                    image=image,
                    stage=name,
                    class_index=target_class,
                    area=float(stage.area[k]),
                    confidence=float(stage.mean_confidence[k]),
                    truth=truth,
                    iou=float(hit[target_class] / union) if judged else float("nan"),
                    embedding=stage.embeddings[k].astype(np.float32),
                    centre=centres[k],
                )
            )
    return rows


def mask_centres(label_map: np.ndarray, *, num_classes: int) -> np.ndarray:
    """(K, 2) mean x and y of each class's pixels in an (H, W) label map, as shares of width and height; NaN if the
    class has no pixels."""
    labels = label_map.astype(np.int64)
    centres = []
    for axis, side in ((1, label_map.shape[1]), (0, label_map.shape[0])):
        places = np.expand_dims(np.arange(side), 1 - axis)
        counts = np.bincount((labels * side + places).ravel(), minlength=num_classes * side).reshape(-1, side)
        with np.errstate(invalid="ignore"):
            centres.append(counts @ ((np.arange(side) + 0.5) / side) / counts.sum(axis=1))
    return np.stack(centres, axis=1)
