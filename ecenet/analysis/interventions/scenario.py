"""Scenarios: combinations of painted classes, an edited mask, knock-outs and a transplant."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ecenet.analysis.interventions.backbone_class import with_backbone_classes
from ecenet.analysis.interventions.mask_edits import StageMask
from ecenet.analysis.interventions.painted_class import PaintedClass
from ecenet.analysis.interventions.transplant import transplant
from ecenet.common.errors import UserError
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.model.edits import HeadEdits, StageEdits


@dataclass(frozen=True)
class KnockOuts:
    """Parts of the head to switch off, for every photo; none by default."""

    diverse: bool = True
    """Whether the diverse branch of Feature Reconstruction is on."""
    attention_off: tuple[str, ...] = ()
    """SAU stages whose features do not attend to the embeddings."""
    updater_off: tuple[str, ...] = ()
    """SAU stages that do not update the embeddings."""
    gate: float | None = None
    """Value (0 … 1) for all gates: 1 keeps the old embeddings, 0 replaces them with the masks' evidence (in the
    authors' release, 1 adds all of the evidence and 0 none). None keeps the predicted gates."""


@dataclass(frozen=True)
class Transplant:
    """Replace a class embedding with that of another photo."""

    source: Prediction
    class_index: int
    """Class in the source photo."""
    into: int
    """Class to replace."""
    t: float = 1.0
    """Interpolation, 0 … 1, from the photo's own embedding to the source's."""


@dataclass(frozen=True)
class Scenario:
    """A combination of interventions; none by default. Not from the paper."""

    classes: tuple[PaintedClass, ...] = ()
    """Painted classes, added to the model's own in every photo."""
    without: tuple[str, ...] = ()
    """Names of the model's classes to exclude."""
    masks: Mapping[str, StageMask] = field(default_factory=dict)
    """Edited masks of one photo, by stage."""
    knock_outs: KnockOuts = field(default_factory=KnockOuts)
    transplant: Transplant | None = None

    @property
    def changes_nothing(self) -> bool:
        parts = self.classes, self.without, self.masks, self.transplant
        return not any(parts) and self.knock_outs == KnockOuts()


def predict_scenario(
    predictor: Predictor, prediction: Prediction, scenario: Scenario, *, stages: Collection[str] | None = None
) -> Prediction:
    """Predict a photo with the scenario: run the head again on cached features, then add backbone classes.

    Args:
        prediction: prediction of the photo without edits.
        stages: stages to include in the result; all by default.
    Raises:
        UserError: the scenario does not fit the photo or the weights.
    """
    after = predictor.predict_features(prediction.features, head_edits(scenario, prediction), stages=stages)
    return with_backbone_classes(after, [one for one in scenario.classes if not one.in_head])


def head_edits(scenario: Scenario, prediction: Prediction, *, stages: Sequence[str] | None = None) -> HeadEdits:
    """The edits of the head for a photo. Backbone classes are not included.

    Args:
        prediction: prediction of the photo without edits; a transplant interpolates from its embeddings.
        stages: the model's stages, if the prediction does not have all of them.
    Raises:
        UserError: the scenario's classes do not match the prediction's, or no class is left.
    """
    known = prediction.class_names
    unknown = [name for name in scenario.without if name not in known]
    if unknown:
        raise UserError(
            "unknown-choice",
            f"Expected classes of the model to exclude, got {unknown[0]!r}; choose from the model's classes.",
        )
    added = tuple(painted.added for painted in scenario.classes if painted.in_head)
    if len(set(scenario.without)) == len(known) and not added:
        raise UserError("conflicting-options", "Expected at least one class, but all are excluded; keep or paint one.")
    off = scenario.knock_outs
    edited: dict[str, StageEdits] = {}
    for name in stages or prediction.stages:
        mask = scenario.masks.get(name)
        edited[name] = StageEdits(
            mask=None if mask is None else mask.edits.mask,
            attention=name not in off.attention_off,
            updater=name not in off.updater_off,
        )
    moved = scenario.transplant
    if moved is not None:
        given = transplant(moved.source, prediction, class_index=moved.class_index, into=moved.into, t=moved.t)
        edited["ece"] = StageEdits(mask=edited["ece"].mask, embeddings=given.embeddings)
    return HeadEdits(
        stages=edited,
        added=added,
        gate=off.gate,
        without=tuple(known.index(name) for name in dict.fromkeys(scenario.without)),
        diverse=off.diverse,
    )
