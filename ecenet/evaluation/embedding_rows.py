"""Class embeddings of one labelled image, each with how its mask fared."""

from typing import NamedTuple

import numpy as np

from ecenet.evaluation.class_map import ClassMap
from ecenet.evaluation.metrics import confusion_matrix
from ecenet.inference.prediction import Prediction


class Row(NamedTuple):
    """One class of one image at one stage. K classes: the weights', or those that they are mapped to."""

    image: int
    stage: str
    class_index: int
    area: float
    confidence: float
    truth: np.ndarray
    """(K,) int64."""
    iou: float
    embedding: np.ndarray
    """(D,) float32."""


def embedding_rows(
    prediction: Prediction, target: np.ndarray, *, image: int, class_map: ClassMap | None = None
) -> list[Row]:
    """Rows of one image: a class at a stage that is predicted there, or labelled.

    With a map, each predicted class of the weights keeps a row of its own, whose class, truth and IoU are those of the
    class that it counts as; outside of the map there is no IoU. A class that is labelled and nowhere predicted has the
    row of the first class of the weights that counts as it.

    Args:
        target: (H, W) uint8 class indices of the data, 255 = ignore.
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
        own = confusion_matrix(target, stage.label_map, num_classes=labelled, num_predicted=known)  # rows are truth
        confusion = np.zeros((width, width), dtype=np.int64)
        np.add.at(confusion[:labelled].T, counts_as, own.T)
        hit, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        areas = np.bincount(counts_as, weights=stage.area, minlength=width)
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
                )
            )
    return rows
