"""Changes to one pass of the head: masks given, embeddings replaced, classes added, parts knocked out. Ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ecenet.model.outputs import ECENetOutput, StageOutput

FLOOR = 1e-12
"""Least probability of a given mask, so that its logarithm is a number; far below what a softmax of logits yields."""
MARGIN = 20.0
"""How far the logits of a class that has no part in a mask lie below the lowest of the cell: it never wins, neither
there nor between cells, and maps keep their scale."""


@dataclass(frozen=True, eq=False)  # tensors have no equality that is one bool
class StageEdits:
    """Changes to one stage; the defaults change nothing. B batch, K classes, D embedding width, h×w the stage's grid.

    `ece` takes a mask and embeddings, `final` embeddings only, SAU stages everything.
    """

    mask: Tensor | None = None
    """(B, K, h, w) probabilities that stand for the predicted mask: in `ece` E_0 is pooled under it, in a SAU stage the
    updater's candidate; its logarithm stands as the stage's mask logits, to which finer stages add where masks are
    summed. K + C where C classes are added; with K, those have no part in it."""
    embeddings: Mapping[int, Tensor] = field(default_factory=dict)
    """Class 0 … K-1 → (D,) that takes the place of its embedding: in `ece` of E_0, else of what enters the stage."""
    attention: bool = True
    """Off: features read nothing from the embeddings; the similarity map is computed all the same."""
    updater: bool = True
    """Off: embeddings leave the stage as they entered it."""
    gate: float | Tensor | None = None
    """In 0 … 1: a number, or a tensor that broadcasts to (B, K, D); instead of the updater's own gate."""


@dataclass(frozen=True, eq=False)
class AddedClass:
    """A class beyond those that the weights know."""

    name: str
    color: tuple[int, int, int]
    """RGB, 0 … 255."""
    embeddings: Tensor
    """(P, D) that join E_0. Several are prototypes of the one class, see `join_prototypes`."""


@dataclass(frozen=True, eq=False)
class HeadEdits:
    """Changes to one pass of the head; the defaults change nothing.

    Behind the coarse mask no layer knows which class is which, so any embedding may join as a class: the head then
    works on K + ΣP rows, K classes and the prototypes of those that were added.
    """

    stages: Mapping[str, StageEdits] = field(default_factory=dict)
    """Stage name → its changes."""
    added: tuple[AddedClass, ...] = ()
    gate: float | None = None
    """In 0 … 1, for the gates of all SAU stages that have no gate of their own here."""
    without: tuple[int, ...] = ()
    """Classes 0 … K-1 that take no part behind E_0: nothing is read from them and they win nowhere. The part of a thing
    that was painted as a class would else lose to the class of the whole."""
    diverse: bool = True
    """Off: zeros in the place of Feature Reconstruction's diverse branch, at every stage."""

    def at(self, stage: str) -> StageEdits:
        return self.stages.get(stage, NO_STAGE_EDITS)

    def gate_at(self, stage: str) -> float | Tensor | None:
        own = self.at(stage).gate
        return self.gate if own is None else own

    def row_classes(self, num_classes: int) -> list[int]:
        """The class of each of the head's rows: 0 … K-1, then K for each prototype of the first added class, …"""
        added = [num_classes + c for c, one in enumerate(self.added) for _ in range(len(one.embeddings))]
        return [*range(num_classes), *added]

    def joined_embeddings(self, embeddings: Tensor) -> Tensor:
        """E_0 (B, K, D) and what is added, for all images alike: (B, K + ΣP, D)."""
        if not self.added:
            return embeddings
        added = torch.cat([one.embeddings for one in self.added]).to(embeddings)
        return torch.cat([embeddings, added.expand(len(embeddings), -1, -1)], dim=1)

    def mask_logits(self, stage: str, predicted: Tensor, *, num_classes: int) -> Tensor:
        """The stage's mask logits, given ones where there are such, with all of the head's rows.

        The prototypes of a class all get its given probability: the class's mask is then exactly the given one. Given
        logits are as high over all as the predicted ones: finer stages add to them where masks are summed, so that
        the predicted mask, given, changes nothing.

        Args:
            predicted: (B, K or K + ΣP, h, w).
            num_classes: K.
        Returns: (B, K + ΣP, h, w); `predicted` itself where nothing changes.
        """
        given = self.at(stage).mask
        rows = self.row_classes(num_classes)
        if given is None:
            logits = predicted
        else:
            logits = logits_like(predicted, given)
            logits = logits[:, rows] if logits.shape[1] > num_classes else logits
        missing = len(rows) - logits.shape[1]
        if missing:
            lowest = logits.amin(dim=1, keepdim=True) - MARGIN
            logits = torch.cat([logits, lowest.expand(-1, missing, -1, -1)], dim=1)
        return silenced(logits, self.without)

    def to(self, device: torch.device) -> "HeadEdits":
        """The same with all tensors on a device."""
        stages = {
            name: replace(
                stage,
                mask=None if stage.mask is None else stage.mask.to(device),
                embeddings={k: vector.to(device) for k, vector in stage.embeddings.items()},
                gate=stage.gate.to(device) if isinstance(stage.gate, Tensor) else stage.gate,
            )
            for name, stage in self.stages.items()
        }
        added = tuple(replace(one, embeddings=one.embeddings.to(device)) for one in self.added)
        return replace(self, stages=stages, added=added)


NO_STAGE_EDITS = StageEdits()
NO_EDITS = HeadEdits()


def logits_like(predicted: Tensor, given: Tensor) -> Tensor:
    """Logits whose softmax is the given mask, as high over all in every cell as the predicted ones; of the predicted
    mask itself its own logits.

    Args:
        predicted: (B, K, h, w) logits.
        given: (B, K or more, h, w) probabilities.
    """
    return given.float().clamp_min(FLOOR).log() + predicted.float().logsumexp(dim=1, keepdim=True)


def within_range(logits: Tensor, predicted: Tensor) -> Tensor:
    """(B, K, h, w) logits, none of them above the highest or below the lowest of an image's predicted ones. For
    embeddings that are made of the logits themselves: nothing given is surer than the surest cell that was
    predicted."""
    low, high = (limit(predicted, dim=(1, 2, 3), keepdim=True) for limit in (torch.amin, torch.amax))
    return logits.clamp(low, high)


def replaced_rows(embeddings: Tensor, rows: Mapping[int, Tensor]) -> Tensor:
    """(B, K, D) with some classes' embeddings replaced by (D,) each; the same tensor where none is."""
    if not rows:
        return embeddings
    changed = embeddings.clone()
    for k, vector in rows.items():
        changed[:, k] = vector.to(embeddings)
    return changed


def silenced(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """(B, K, h, w) with some rows below all others in every cell; the same tensor where none is."""
    if not rows:
        return logits
    others = [row for row in range(logits.shape[1]) if row not in rows]
    changed = logits.clone()
    changed[:, list(rows)] = logits[:, others].amin(dim=1, keepdim=True) - MARGIN
    return changed


def join_prototypes(output: ECENetOutput, rows: Sequence[int]) -> ECENetOutput:
    """One row for each class: of its prototypes' logits and similarities the highest, of their embeddings and gates
    the mean.

    Args:
        rows: the class of each row, as `HeadEdits.row_classes` tells it.
    """
    if len(set(rows)) == len(rows):
        return output
    places = [[row for row, k in enumerate(rows) if k == one] for one in dict.fromkeys(rows)]
    stages = {name: _joined_stage(stage, places) for name, stage in output.stages.items()}
    return output._replace(logits=stages["final"].mask_logits, stages=stages)


def _joined_stage(stage: StageOutput, places: list[list[int]]) -> StageOutput:
    def highest(maps: Tensor) -> Tensor:
        return torch.stack([maps[:, rows].amax(dim=1) for rows in places], dim=1)

    def mean(vectors: Tensor) -> Tensor:
        return torch.stack([vectors[:, rows].mean(dim=1) for rows in places], dim=1)

    mask_logits = highest(stage.mask_logits)
    return StageOutput(
        features=stage.features,
        similarity=mask_logits if stage.similarity is stage.mask_logits else highest(stage.similarity),
        mask_logits=mask_logits,
        embeddings_before=mean(stage.embeddings_before),
        embeddings_after=mean(stage.embeddings_after),
        gate=None if stage.gate is None else mean(stage.gate),
    )
