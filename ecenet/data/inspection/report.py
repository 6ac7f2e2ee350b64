"""The report on both splits of a training, for `train` and `data check`."""

import numpy as np

from ecenet.data.inspection.class_table import class_table, read_doubts
from ecenet.data.inspection.orientation import orientation_doubt, unsure_orientations
from ecenet.data.split import LabelledSplit


def splits_report(
    train: LabelledSplit, val: LabelledSplit, counts: np.ndarray, val_counts: np.ndarray
) -> tuple[str, list[str]]:
    """Return (table of the classes, warnings about probable mistakes); `counts` and `val_counts` as in `pixel_counts`.

    Raises:
        UserError: an image cannot be opened.
    """
    names = train.labels.class_names
    doubts = read_doubts(names, counts, val_counts)
    for data in (train, val):
        if paths := unsure_orientations(data):
            doubts.append(orientation_doubt(paths, data.split))
    return class_table(names, {"train": counts, "val": val_counts}), doubts
