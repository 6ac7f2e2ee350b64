"""Checks that edits of the head fit the weights and the features of an image."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.model.config import Updater
from ecenet.model.edits import HeadEdits, StageEdits

TOLERANCE = 1e-3
"""Tolerance of the sum of a cell's probabilities."""


class HeadParts(NamedTuple):
    """The parts of a head that edits can change. Every head has attention and embeddings."""

    explicit: bool
    """Whether E_0 is computed from a coarse mask, the stage `ece`."""
    new_classes: bool
    """Whether classes can be added."""
    reconstruction: bool
    """Whether there is Feature Reconstruction, with its diverse branch."""
    updater: Updater
    closed: str = ""
    """The kind of weights and why no class can be added to them, for messages; "" if classes can be added."""

    @property
    def gated(self) -> bool:
        """Whether the updater has a gate."""
        return self.updater in ("gated", "gated_addition")

    @property
    def gate_adds(self) -> bool:
        """Whether a gate of 1 adds all of the mask's evidence and 0 none (authors' release). Otherwise 1 keeps the old
        embedding and 0 replaces it by the mask's evidence (ours)."""
        return self.updater == "gated_addition"


class HeadFacts(NamedTuple):
    """The facts that edits are checked against: the architecture and the sizes of the features."""

    batch: int
    num_classes: int
    embed_dim: int
    grids: Mapping[str, tuple[int, int]]
    """(h, w) of each stage, coarse to fine, including `final`."""
    parts: HeadParts


def check_edits(edits: HeadEdits, facts: HeadFacts) -> None:
    """Check edits.

    Raises:
        UserError: an edit is not possible; the message names the first such edit.
    """
    if not edits.diverse and not facts.parts.reconstruction:
        raise UserError(
            "unsupported-by-weights",
            "Expected weights with Feature Reconstruction, got weights without it, which have no diverse branch; "
            "leave the branch on or choose other weights.",
        )
    if edits.added and not facts.parts.new_classes:
        raise UserError(
            "unsupported-by-weights",
            f"Expected weights of an ECENet to add the class {edits.added[0].name!r} to, got {facts.parts.closed}; "
            "remove the class or choose other weights.",
        )
    for one in edits.added:
        shape = (max(1, len(one.embeddings)), facts.embed_dim)
        _check_vectors(one.embeddings, f"the class {one.name!r}", shape=shape)
    _check_gate(edits.gate, facts, shape=())
    for k in edits.without:
        _check_class(k, facts)
    if len(set(edits.without)) >= facts.num_classes + len(edits.added):
        raise UserError("conflicting-options", "Expected at least one class, but all are excluded; exclude fewer.")
    for name, stage in edits.stages.items():
        if name not in facts.grids:
            raise UserError(
                "unknown-choice", f"Expected a stage among {', '.join(facts.grids)}, got {name!r}; choose one of them."
            )
        _check_stage(name, stage, edits, facts)


def _check_stage(name: str, stage: StageEdits, edits: HeadEdits, facts: HeadFacts) -> None:
    if name in ("ece", "final") and not (stage.attention and stage.updater and stage.gate is None):
        raise UserError(
            "unknown-choice",
            f"Expected a SAU stage to change attention, updater or gate, got {name}, which has none of them; "
            "choose another stage.",
        )
    if stage.mask is not None:
        _check_mask(name, stage.mask, facts, added=len(edits.added))
    for k, vector in stage.embeddings.items():
        _check_class(k, facts)
        _check_vectors(vector, f"class {k} at {name}", shape=(facts.embed_dim,))
    rows = len(edits.row_classes(facts.num_classes))
    _check_gate(stage.gate, facts, shape=(facts.batch, rows, facts.embed_dim))


def _check_class(k: int, facts: HeadFacts) -> None:
    if not 0 <= k < facts.num_classes:
        raise UserError(
            "unknown-choice", f"Expected a class of 0 … {facts.num_classes - 1}, got {k}; choose one of these."
        )


def _check_mask(name: str, mask: Tensor, facts: HeadFacts, *, added: int) -> None:
    if name == "final":
        raise UserError(
            "unknown-choice",
            "Expected a mask for ece or a SAU stage, got one for final, which is the last stage; choose another stage.",
        )
    if name == "ece" and not facts.parts.explicit:
        raise UserError(
            "unsupported-by-weights",
            "Expected a model with explicit embeddings, got one with learned ones, which do not depend on masks; "
            "use weights with embeddings: explicit in their config.",
        )
    wanted = {(facts.batch, classes, *facts.grids[name]) for classes in (facts.num_classes, facts.num_classes + added)}
    if tuple(mask.shape) not in wanted:
        raise UserError(
            "size-mismatch",
            f"Expected a mask of {' or '.join(map(_times, sorted(wanted)))} (images, classes, rows, columns) for "
            f"{name}, got {_times(mask.shape)}; make the edit from a prediction of the same image.",
            expected=sorted(wanted),
            got=tuple(mask.shape),
        )
    sums = mask.float().sum(dim=1)
    if not mask.isfinite().all() or mask.min() < 0 or (sums - 1).abs().max() > TOLERANCE:
        raise UserError(
            "invalid-value",
            f"Expected the mask for {name} to contain probabilities with sum 1 in every cell, got values of "
            f"{mask.min():.3g} … {mask.max():.3g} and sums of {sums.min():.3g} … {sums.max():.3g}; use a softmax.",
        )


def _check_vectors(vectors: Tensor, label: str, *, shape: tuple[int, ...]) -> None:
    if tuple(vectors.shape) != shape or not vectors.isfinite().all():
        raise UserError(
            "wrong-weights",
            f"Expected {_times(shape)} finite numbers as embedding of {label}, got {_times(vectors.shape)}"
            f"{'' if vectors.isfinite().all() else ' that are not all finite'}; make it with these weights.",
            expected=shape,
            got=tuple(vectors.shape),
        )


def _check_gate(gate: float | Tensor | None, facts: HeadFacts, *, shape: tuple[int, ...]) -> None:
    """Check a forced gate.

    Args:
        shape: shape that the gate must broadcast to.
    """
    if gate is None:
        return
    if not facts.parts.gated:
        raise UserError(
            "unsupported-by-weights",
            f"Expected weights with a gated updater, got the updater {facts.parts.updater}; "
            "do not force gates, or choose other weights.",
        )
    values = torch.as_tensor(gate)
    own = tuple(values.shape)
    fits = len(own) <= len(shape) and all(a in (1, b) for a, b in zip(own[::-1], shape[::-1], strict=False))
    if not fits or not bool(((values >= 0) & (values <= 1)).all()):
        raise UserError(
            "out-of-range",
            f"Expected a gate of 0 … 1 that is one number or broadcasts to {_times(shape)}, got "
            f"{values.min():.3g} … {values.max():.3g} of shape {_times(own)}; choose a number from 0 to 1.",
        )


def _times(shape: tuple[int, ...] | torch.Size) -> str:
    """Format a shape: (2, 3) → `2×3`, () → `1`."""
    return "×".join(map(str, shape)) or "1"
