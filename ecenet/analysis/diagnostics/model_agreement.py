"""Agreement between the predictions of two models for the same photo."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ecenet.inference.prediction import Prediction


class ClassAreas(NamedTuple):
    """Areas of one class in the predictions of both models."""

    name: str
    color: list[int]
    first: float | None
    """Share of the photo, 0 … 1; None if the model does not have the class."""
    second: float | None


@dataclass(frozen=True)
class Agreement:
    """Agreement of two predictions; classes are matched by name."""

    same: np.ndarray
    """(H, W) bool: pixels where both models predict the same class."""
    classes: list[ClassAreas]
    """Classes that either model predicts, ordered by the larger of the two areas."""

    @property
    def share(self) -> float:
        """Share of pixels where the models agree, 0 … 1."""
        return float(self.same.mean())


def compare_models(first: Prediction, second: Prediction, *, stages: tuple[str, str]) -> Agreement:
    """Compare a stage of one model with a stage of another.

    Args:
        first, second: predictions of the same photo.
        stages: the stage to use of each prediction.
    """
    one, two = first.stages[stages[0]], second.stages[stages[1]]
    names = list(dict.fromkeys([*first.class_names, *second.class_names]))
    number = {name: index for index, name in enumerate(names)}
    lookup = [np.array([number[name] for name in prediction.class_names]) for prediction in (first, second)]
    colors = dict(zip(second.class_names, second.class_colors, strict=True))
    colors |= dict(zip(first.class_names, first.class_colors, strict=True))
    areas = [
        dict(zip(prediction.class_names, stage.area.tolist(), strict=True))
        for prediction, stage in ((first, one), (second, two))
    ]
    rows = [ClassAreas(name, colors[name], areas[0].get(name), areas[1].get(name)) for name in names]
    seen = [row for row in rows if (row.first or 0) + (row.second or 0) > 0]
    return Agreement(
        same=lookup[0][one.label_map] == lookup[1][two.label_map],
        classes=sorted(seen, key=lambda row: -max(row.first or 0, row.second or 0)),
    )
