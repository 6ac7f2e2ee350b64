"""The selected photo, stage, class and pixel, which all views follow."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ecenet.common.errors import UserError
from ecenet.inference.prediction import Prediction

MIN_AREA = 0.005
"""Share of a photo below which a class counts as absent."""
Follows = Literal["selection", "stage", "photo"]
"""The part of the selection that a view depends on. `photo`: the photo and the model; `stage`: also the stage and the
ground truth; `selection`: everything."""


@dataclass(frozen=True)
class Selection:
    """The selection. It is separate from the session, so that a click and a concurrent upload cannot undo each other.

    It may refer to something that the session does not contain (any more); views then fall back to something valid.
    """

    photo: int = 0
    """Index into the session's photos."""
    stage: str = "final"
    class_name: str | None = None
    """None: the largest class of the photo."""
    pixel: tuple[int, int] | None = None
    """(x, y) in the photo."""
    reference: int | None = None
    """Index of the reference image whose embedding is selected on the map, if any."""
    revision: int = 0
    """Number of changes of the session, so that views that follow the selection are updated after those as well."""
    truths: int = 0
    """Number of changes of ground truths, which only few views show."""

    def with_photo(self, index: int, prediction: Prediction) -> "Selection":
        """Select another photo. The stage is kept, the class if any stage of the photo has it, and the pixel is
        cleared."""
        areas = [stage.area for stage in prediction.stages.values()]
        present = {prediction.class_names[k] for k in np.flatnonzero(np.max(areas, axis=0) > MIN_AREA)}
        class_name = self.class_name if self.class_name in present else None
        return replace(self, photo=index, class_name=class_name, pixel=None, reference=None)

    def followed(self, by: Follows) -> Hashable:
        """Return a value that changes whenever a view that follows this part of the selection must be updated."""
        photo = (self.revision, self.photo)
        match by:
            case "photo":
                return photo
            case "stage":
                return (*photo, self.stage, self.truths)
            case "selection":
                return self

    def revised(self) -> "Selection":
        """Return the same selection after a change of the session."""
        return replace(self, reference=None, revision=self.revision + 1)

    def with_other_truth(self) -> "Selection":
        """Return the same selection after a change of a ground truth."""
        return replace(self, truths=self.truths + 1)


def shown_class(prediction: Prediction, chosen: str | None) -> str:
    """Return the selected class if the model has it, else the largest class of the photo other than background."""
    if chosen in prediction.class_names:
        return chosen
    present = [prediction.class_names[k] for k in prediction.final.present()]
    return next((name for name in present if name != "background"), present[0])


def class_of(prediction: Prediction, index: object) -> str:
    """Check a class index from the browser and return the name of the class.

    Raises:
        UserError: the index is invalid.
    """
    count = len(prediction.class_names)
    if not (type(index) is int and 0 <= index < count):
        raise UserError(
            "unknown-choice", f"Expected a class, 0 … {count - 1}, got {str(index)[:60]}; choose one of those shown."
        )
    return prediction.class_names[index]


def stage_of(prediction: Prediction, name: object) -> str:
    """Check the name of a stage from the browser.

    Raises:
        UserError: the stage does not exist.
    """
    if not (isinstance(name, str) and name in prediction.stages):
        raise UserError(
            "unknown-choice",
            f"Expected a stage ({', '.join(prediction.stages)}), got {str(name)[:60]}; choose one.",
        )
    return name


def pixel_of(prediction: Prediction, x: object, y: object) -> tuple[int, int]:
    """Check the coordinates of a pixel from the browser.

    Raises:
        UserError: they are not two integers inside the photo.
    """
    width, height = prediction.image.size
    if not (type(x) is int and type(y) is int and 0 <= x < width and 0 <= y < height):
        raise UserError(
            "out-of-range",
            f"Expected a pixel of the photo, x in 0 … {width - 1} and y in 0 … {height - 1}, got {str((x, y))[:60]}; "
            "click on the photo.",
        )
    return x, y
