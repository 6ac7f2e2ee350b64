"""What a visitor has selected: one photo, stage, class and pixel, which every view follows."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ecenet.common.errors import UserError
from ecenet.inference.prediction import Prediction

MIN_AREA = 0.005
"""Share of a photo below which a class does not count as being there."""
Follows = Literal["selection", "stage", "photo"]
"""What of the selection a view shows. `photo`: only that another photo, or another model's picture of it, is to be
shown; `stage`: that, another stage, and another ground truth; `selection`: all of it."""


@dataclass(frozen=True)
class Selection:
    """Apart from the session, so that a click and an upload that ends meanwhile cannot undo each other.

    It may name what the session has not, or has no longer; the views then show what is nearest.
    """

    photo: int = 0
    """Index into the session's photos."""
    stage: str = "final"
    class_name: str | None = None
    """None: the largest class of the photo."""
    pixel: tuple[int, int] | None = None
    """(x, y) in the photo."""
    reference: int | None = None
    """Number of the reference image whose embedding is selected on the map, instead of the photo's own."""
    revision: int = 0
    """Counts the changes of the session: who listens to the selection hears of those, too."""
    truths: int = 0
    """Counts the ground truths that were given and taken away, which only few views show."""

    def with_photo(self, index: int, prediction: Prediction) -> "Selection":
        """Another photo: the stage stays, the class where that photo has it at any stage, the pixel goes."""
        areas = [stage.area for stage in prediction.stages.values()]
        present = {prediction.class_names[k] for k in np.flatnonzero(np.max(areas, axis=0) > MIN_AREA)}
        class_name = self.class_name if self.class_name in present else None
        return replace(self, photo=index, class_name=class_name, pixel=None, reference=None)

    def followed(self, by: Follows) -> Hashable:
        """Changes when a view that follows so much of the selection is to be drawn anew."""
        photo = (self.revision, self.photo)
        match by:
            case "photo":
                return photo
            case "stage":
                return (*photo, self.stage, self.truths)
            case "selection":
                return self

    def revised(self) -> "Selection":
        """After the session has changed: the same place in it."""
        return replace(self, reference=None, revision=self.revision + 1)

    def with_other_truth(self) -> "Selection":
        """After a photo's ground truth has changed."""
        return replace(self, truths=self.truths + 1)


def shown_class(prediction: Prediction, chosen: str | None) -> str:
    """The chosen class where the model knows it, else the photo's largest one, background last."""
    if chosen in prediction.class_names:
        return chosen
    present = [prediction.class_names[k] for k in prediction.final.present()]
    return next((name for name in present if name != "background"), present[0])


def class_of(prediction: Prediction, index: object) -> str:
    """A class that a browser asks for, checked.

    Raises:
        UserError: it is no index of a class.
    """
    count = len(prediction.class_names)
    if not (type(index) is int and 0 <= index < count):
        raise UserError(
            "unknown-choice", f"Expected a class, 0 … {count - 1}, got {str(index)[:60]}; choose one that is shown."
        )
    return prediction.class_names[index]


def stage_of(prediction: Prediction, name: object) -> str:
    """A stage that a browser asks for, checked.

    Raises:
        UserError: the model has no such stage.
    """
    if not (isinstance(name, str) and name in prediction.stages):
        raise UserError(
            "unknown-choice",
            f"Expected a stage, one of {', '.join(prediction.stages)}, got {str(name)[:60]}; choose one.",
        )
    return name


def pixel_of(prediction: Prediction, x: object, y: object) -> tuple[int, int]:
    """A pixel that a browser asks for, checked.

    Raises:
        UserError: it is not two whole numbers inside the photo.
    """
    width, height = prediction.image.size
    if not (type(x) is int and type(y) is int and 0 <= x < width and 0 <= y < height):
        raise UserError(
            "out-of-range",
            f"Expected a pixel of the photo, x in 0 … {width - 1} and y in 0 … {height - 1}, got {str((x, y))[:60]}; "
            "click on the photo.",
        )
    return x, y
