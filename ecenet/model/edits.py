"""Changes to a pass of the head: given masks, replaced embeddings, added classes, and knock-outs. Ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ecenet.model.outputs import ECENetOutput, StageOutput

FLOOR = 1e-12
"""Minimum probability in given masks, so that the logarithm is finite; far below the output of a softmax."""
MARGIN = 20.0
"""Distance of the logits of excluded classes below the lowest one of the cell, so that they never win, in cells or
between them, while maps keep their scale."""


@dataclass(frozen=True, eq=False)  # tensors cannot be compared to a single bool
class StageEdits:
    """Changes to a stage; the defaults change nothing. B is the batch size, K the number of classes, D the width of
    embeddings, h×w the grid of the stage.

    `ece` accepts a mask and embeddings, `final` embeddings only, SAU stages everything.
    """

    mask: Tensor | None = None
    """(B, K, h, w) probabilities that replace the predicted mask. E_0 (in `ece`) or the updater's candidate (in a SAU
    stage) is pooled under it, and its logarithm replaces the mask logits, to which finer stages add if masks are
    summed. With C added classes it may have K + C channels; with K, the added classes take no part in it."""
    embeddings: Mapping[int, Tensor] = field(default_factory=dict)
    """(D,) replacements of the embeddings of classes 0 … K-1: of E_0 in `ece`, else of those that enter the stage."""
    attention: bool = True
    """If False, features do not attend to the embeddings; the similarity map is still computed."""
    updater: bool = True
    """If False, the stage does not change the embeddings."""
    gate: float | Tensor | None = None
    """Forced gate in 0 … 1: a number, or a tensor that broadcasts to (B, K, D)."""


@dataclass(frozen=True, eq=False)
class AddedClass:
    """A class in addition to those of the weights."""

    name: str
    color: tuple[int, int, int]
    """RGB, 0 … 255."""
    embeddings: Tensor
    """(P, D) embeddings, which are appended to E_0. Several are prototypes of the class, see `join_prototypes`."""


@dataclass(frozen=True, eq=False)
class HeadEdits:
    """Changes to a pass of the head; the defaults change nothing.

    After the coarse mask, no layer is tied to particular classes, so any embedding can be added as a class. The head
    then has K + ΣP rows: K classes and the prototypes of added classes.
    """

    stages: Mapping[str, StageEdits] = field(default_factory=dict)
    """Changes by stage name."""
    added: tuple[AddedClass, ...] = ()
    gate: float | None = None
    """Forced gate in 0 … 1 for all SAU stages without one in `stages`."""
    without: tuple[int, ...] = ()
    """Classes 0 … K-1 that are excluded after E_0: features do not attend to them, and they win nowhere. Otherwise a
    painted part of an object may lose to the class of the whole object."""
    diverse: bool = True
    """If False, the diverse branch of Feature Reconstruction is replaced by zeros at every stage."""

    def at(self, stage: str) -> StageEdits:
        return self.stages.get(stage, NO_STAGE_EDITS)

    def gate_at(self, stage: str) -> float | Tensor | None:
        own = self.at(stage).gate
        return self.gate if own is None else own

    def row_classes(self, num_classes: int) -> list[int]:
        """Return the class of each row of the head: 0 … K-1, then K for each prototype of the first added class, …"""
        added = [num_classes + c for c, one in enumerate(self.added) for _ in range(len(one.embeddings))]
        return [*range(num_classes), *added]

    def joined_embeddings(self, embeddings: Tensor) -> Tensor:
        """Append the added embeddings to E_0 (B, K, D) of every image: (B, K + ΣP, D)."""
        if not self.added:
            return embeddings
        added = torch.cat([one.embeddings for one in self.added]).to(embeddings)
        return torch.cat([embeddings, added.expand(len(embeddings), -1, -1)], dim=1)

    def mask_logits(self, stage: str, predicted: Tensor, *, num_classes: int) -> Tensor:
        """Return the mask logits of a stage for all rows of the head: those of a given mask, or the predicted ones.

        All prototypes of a class get its given probability, so that the mask of the class is exactly the given one.
        Given logits have the same logsumexp as the predicted ones, so that giving the predicted mask changes nothing
        even if finer stages add to it.

        Args:
            predicted: (B, K or K + ΣP, h, w).
            num_classes: K.
        Returns: (B, K + ΣP, h, w); `predicted` itself if nothing changes.
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
        """Return the edits with all tensors on a device."""
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
    """Return logits whose softmax is the given mask and whose logsumexp in every cell is that of the predicted ones.
    For the predicted mask, they are its logits.

    Args:
        predicted: (B, K, h, w) logits.
        given: (B, K or more, h, w) probabilities.
    """
    return given.float().clamp_min(FLOOR).log() + predicted.float().logsumexp(dim=1, keepdim=True)


def within_range(logits: Tensor, predicted: Tensor) -> Tensor:
    """Clip (B, K, h, w) logits to the range of an image's predicted ones. It is used for embeddings that are computed
    from logits, so that given masks are not more confident than the most confident predicted cell."""
    low, high = (limit(predicted, dim=(1, 2, 3), keepdim=True) for limit in (torch.amin, torch.amax))
    return logits.clamp(low, high)


def replaced_rows(embeddings: Tensor, rows: Mapping[int, Tensor]) -> Tensor:
    """Replace the embeddings of some classes in (B, K, D) by (D,) each; returns the same tensor without
    replacements."""
    if not rows:
        return embeddings
    changed = embeddings.clone()
    for k, vector in rows.items():
        changed[:, k] = vector.to(embeddings)
    return changed


def silenced(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Set some rows of (B, K, h, w) below all others in every cell; returns the same tensor without rows."""
    if not rows:
        return logits
    others = [row for row in range(logits.shape[1]) if row not in rows]
    changed = logits.clone()
    changed[:, list(rows)] = logits[:, others].amin(dim=1, keepdim=True) - MARGIN
    return changed


def join_prototypes(output: ECENetOutput, rows: Sequence[int]) -> ECENetOutput:
    """Reduce the output to one row for each class: the maximum of its prototypes' logits and similarities, and the mean
    of their embeddings and gates.

    Args:
        rows: the class of each row, see `HeadEdits.row_classes`.
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
