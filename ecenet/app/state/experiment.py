"""What the What if tab holds: what is painted on each photo, and what is to be otherwise."""

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
    """Never changed in place, like a session."""

    model: str = ""
    """Key of the model that it was begun with; with another one it begins anew."""
    painted: tuple[Painted, ...] = ()
    scenario: Scenario = field(default_factory=Scenario)
    edited: Prediction | None = None
    """The photo whose masks the scenario changes."""

    def of(self, session: Session) -> "Experiment":
        """Itself, as far as it is of this session's model."""
        return self if self.model == session.model else Experiment(session.model)

    def strokes_on(self, prediction: Prediction) -> tuple[Stroke, ...]:
        return next((one.strokes for one in self.painted if one.prediction is prediction), ())

    def region_on(self, prediction: Prediction) -> np.ndarray | None:
        """(H, W) bool; None without a stroke."""
        return next((one.region for one in self.painted if one.prediction is prediction), None)

    def with_strokes(self, prediction: Prediction, strokes: tuple[Stroke, ...]) -> "Experiment":
        """Other strokes on one photo; none forgets what was painted there."""
        others = tuple(one for one in self.painted if one.prediction is not prediction)
        mine = (Painted(prediction, strokes),) if strokes else ()
        return replace(self, painted=(*others, *mine))

    def scenario_for(self, prediction: Prediction) -> Scenario:
        """What is to be otherwise with a photo: changed masks and a transplant are one photo's only."""
        if self.edited is prediction:
            return self.scenario
        return replace(self.scenario, masks={}, transplant=None)

    def with_masks(self, prediction: Prediction, masks: Mapping[str, StageMask]) -> "Experiment":
        """Other masks for one photo; another photo's are given up, and so is its transplant."""
        return replace(self, scenario=replace(self.scenario_for(prediction), masks=masks), edited=prediction)

    def mask_at(self, prediction: Prediction, stage: str) -> StageMask:
        """As it was changed last, or as it was predicted."""
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
    """Make a class of what is painted on all photos of the session.

    Args:
        method: an embedding, pooled in one way or another, or what the backbone's features find.
    Raises:
        UserError: nothing is painted, or the name is empty or taken.
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
    """One more class; arguments and errors as for `painted_class.with_class`."""
    classes = with_painted(experiment.scenario.classes, painted, known=known)
    return replace(experiment, scenario=replace(experiment.scenario, classes=classes))
