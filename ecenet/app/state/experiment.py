"""The state of the What if tab: the painted strokes on each photo, and the changes to apply."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ecenet.analysis.interventions.make_class import make_class
from ecenet.analysis.interventions.mask_edits import StageMask, stage_mask
from ecenet.analysis.interventions.painted_class import PaintedClass
from ecenet.analysis.interventions.painted_class import with_class as with_painted
from ecenet.analysis.interventions.painting import Pooling
from ecenet.analysis.interventions.scenario import Scenario
from ecenet.analysis.interventions.strokes import Stroke, draw_strokes
from ecenet.app.state.session import Session
from ecenet.inference.prediction import ImageFeatures, Prediction
from ecenet.inference.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Painted:
    """Strokes on one photo."""

    prediction: Prediction
    strokes: tuple[Stroke, ...]

    @property
    def region(self) -> np.ndarray:
        """(H, W) bool."""
        label_maps = {name: stage.label_map for name, stage in self.prediction.stages.items()}
        return draw_strokes(self.strokes, label_maps, size=self.prediction.image.size)


@dataclass(frozen=True, eq=False)
class Experiment:
    """The state of the What if tab. It is immutable, like a session."""

    model: str = ""
    """Key of the model that it belongs to. Another model starts a new experiment."""
    painted: tuple[Painted, ...] = ()
    scenario: Scenario = field(default_factory=Scenario)
    edited: Prediction | None = None
    """The prediction whose masks the scenario changes."""

    def of(self, session: Session) -> "Experiment":
        """Return the experiment if it belongs to the session's model, else a new one."""
        return self if self.model == session.model else Experiment(session.model)

    def strokes_on(self, prediction: Prediction) -> tuple[Stroke, ...]:
        return next((one.strokes for one in self.painted if one.prediction is prediction), ())

    def region_on(self, prediction: Prediction) -> np.ndarray | None:
        """Return the painted region, (H, W) bool, or None without strokes."""
        return next((one.region for one in self.painted if one.prediction is prediction), None)

    def with_strokes(self, prediction: Prediction, strokes: tuple[Stroke, ...]) -> "Experiment":
        """Replace the strokes on a photo; an empty tuple removes them."""
        others = tuple(one for one in self.painted if one.prediction is not prediction)
        mine = (Painted(prediction, strokes),) if strokes else ()
        return replace(self, painted=(*others, *mine))

    def scenario_for(self, prediction: Prediction) -> Scenario:
        """Return the changes that apply to a photo. Changed masks and a transplant apply to one photo only."""
        if self.edited is prediction:
            return self.scenario
        return replace(self.scenario, masks={}, transplant=None)

    def with_masks(self, prediction: Prediction, masks: Mapping[str, StageMask]) -> "Experiment":
        """Set the changed masks of a photo. Changed masks and a transplant of another photo are discarded."""
        return replace(self, scenario=replace(self.scenario_for(prediction), masks=masks), edited=prediction)

    def mask_at(self, prediction: Prediction, stage: str) -> StageMask:
        """Return the mask of a stage, as changed last or as predicted."""
        return self.scenario_for(prediction).masks.get(stage) or stage_mask(prediction, stage)


def add_painted_class(
    experiment: Experiment,
    session: Session,
    *,
    predictor: Predictor,
    name: str,
    method: Pooling | Literal["backbone"],
    prototypes: int,
) -> Experiment:
    """Make a class from the painted regions of all photos of the session.

    Args:
        method: pooling of the embedding, or `backbone` for a class defined by backbone features.
    Raises:
        UserError: nothing is painted, or the name is empty or in use.
    """
    regions: list[tuple[ImageFeatures, np.ndarray]] = []
    for photo in session.photos:
        region = experiment.region_on(photo.prediction)
        if region is not None and region.any():
            regions.append((photo.prediction.features, region))
    painted = make_class(
        predictor,
        regions,
        name=name,
        method=method,
        prototypes=prototypes,
    )
    return with_class(experiment, painted, known=predictor.model.class_names)


def with_class(experiment: Experiment, painted: PaintedClass, *, known: list[str]) -> Experiment:
    """Add a class; arguments and errors as in `painted_class.with_class`."""
    classes = with_painted(experiment.scenario.classes, painted, known=known)
    return replace(experiment, scenario=replace(experiment.scenario, classes=classes))
