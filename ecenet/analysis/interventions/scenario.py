"""All that is to be otherwise, put together: painted classes, a changed mask, parts knocked out, a transplant."""

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
    """Parts of the head that are switched off, for every photo; the defaults switch nothing off."""

    diverse: bool = True
    """Feature Reconstruction's diverse branch."""
    attention_off: tuple[str, ...] = ()
    """SAU stages whose features read nothing from the embeddings."""
    updater_off: tuple[str, ...] = ()
    """SAU stages that leave the embeddings as they are."""
    gate: float | None = None
    """0 … 1 for every gate: 1 keeps the old embeddings, 0 takes the masks' evidence (in the authors' release 1 adds all
    of the evidence, 0 none). None leaves the gates alone."""


@dataclass(frozen=True)
class Transplant:
    """One photo's class embedding for another's."""

    source: Prediction
    class_index: int
    """In the source."""
    into: int
    """Class whose place it takes."""
    t: float = 1.0
    """0 … 1: how far it goes from the photo's own embedding to the source's."""


@dataclass(frozen=True)
class Scenario:
    """What is to be otherwise. Ours; the defaults change nothing."""

    classes: tuple[PaintedClass, ...] = ()
    """They compete with the model's own, in every photo."""
    without: tuple[str, ...] = ()
    """Names of the model's classes that take no part."""
    masks: Mapping[str, StageMask] = field(default_factory=dict)
    """Stage → its changed mask; of one photo."""
    knock_outs: KnockOuts = field(default_factory=KnockOuts)
    transplant: Transplant | None = None

    @property
    def changes_nothing(self) -> bool:
        parts = self.classes, self.without, self.masks, self.transplant
        return not any(parts) and self.knock_outs == KnockOuts()


def predict_scenario(
    predictor: Predictor, prediction: Prediction, scenario: Scenario, *, stages: Collection[str] | None = None
) -> Prediction:
    """A photo as it would be: the head runs again, on kept features, and classes that the backbone finds join behind.

    Args:
        prediction: of the photo, without edits.
        stages: those that the prediction is to have; all by default.
    Raises:
        UserError: the scenario does not fit the photo or the weights.
    """
    after = predictor.predict_features(prediction.features, head_edits(scenario, prediction), stages=stages)
    return with_backbone_classes(after, [one for one in scenario.classes if not one.in_head])


def head_edits(scenario: Scenario, prediction: Prediction, *, stages: Sequence[str] | None = None) -> HeadEdits:
    """What the head is to do otherwise with a photo. Classes that the backbone finds are none of its.

    Args:
        prediction: of the photo, without edits: the transplant mixes with its own embeddings.
        stages: the model's, where the prediction has not all of them.
    Raises:
        UserError: the scenario's classes are not this prediction's, or it leaves no class.
    """
    known = prediction.class_names
    unknown = [name for name in scenario.without if name not in known]
    if unknown:
        raise UserError(
            "unknown-choice", f"Expected classes of the model to leave out, got {unknown[0]!r}; choose among its own."
        )
    added = tuple(painted.added for painted in scenario.classes if painted.in_head)
    if len(set(scenario.without)) == len(known) and not added:
        raise UserError(
            "conflicting-options", "Expected a class that may win, but all are left out; keep one, or paint one."
        )
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
