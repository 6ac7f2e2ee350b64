"""Edit a stage's mask: paint or erase a class, swap two, or replace the mask with a label map. Not from the paper."""

from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

import numpy as np
import torch

from ecenet.analysis.interventions.regions import cell_shares, check_size, region_weights
from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.inference.prediction import Prediction
from ecenet.model.edits import StageEdits

Action = Literal["paint", "erase", "swap", "replace"]
"""Actions of `edit_mask`, as used in the What if tab and the API."""
T = TypeVar("T")

CERTAINTY = 0.99
"""Share of a cell's probability that an edit moves where it covers the cell, similar to the network's most confident
cells. With 1, a single edit would override all other stages in the final sum of masks."""


@dataclass(frozen=True, eq=False)
class StageMask:
    """Mask probabilities of one stage of one photo. Every edit returns a new mask, so edits can be chained.

    K is the number of classes of the prediction, including added ones; h×w is the stage's grid.
    """

    stage: str
    size: tuple[int, int]
    """The photo's (width, height)."""
    class_names: tuple[str, ...]
    """Names of the K classes."""
    probabilities: np.ndarray
    """(K, h, w) float32 probabilities; each cell sums to 1."""
    enlarged: bool = False
    """Whether a region was smaller than a cell and was extended to all cells that it touches."""

    @property
    def edits(self) -> StageEdits:
        """The edits for `HeadEdits.stages`, under this stage's name."""
        return StageEdits(mask=torch.from_numpy(self.probabilities)[None])

    def painted(self, region: np.ndarray, *, class_index: int, certainty: float = CERTAINTY) -> "StageMask":
        """Give the class `certainty` of every cell's probability, in proportion to the cell's coverage.

        Args:
            region: (H, W) bool.
        Raises:
            UserError: unknown class, or the region has the wrong size or is empty.
        """
        self._check_classes(class_index)
        cells = region_weights(region, size=self.size, grid=self._grid)
        target = np.zeros_like(self.probabilities)
        target[class_index] = cells.weights
        return replace(self, probabilities=self._mixed(target, certainty), enlarged=self.enlarged or cells.enlarged)

    def erased(self, region: np.ndarray, *, class_index: int, certainty: float = CERTAINTY) -> "StageMask":
        """Move `certainty` of the class's probability to the most probable other class of each cell, in proportion to
        the cell's coverage. Arguments and errors as for `painted`."""
        self._check_classes(class_index)
        cells = region_weights(region, size=self.size, grid=self._grid)
        others = self.probabilities.copy()
        others[class_index] = -1
        runner_up = others.argmax(axis=0)[None]
        given = self.probabilities[class_index] * cells.weights * certainty
        changed = self.probabilities.copy()
        changed[class_index] -= given
        np.put_along_axis(changed, runner_up, np.take_along_axis(changed, runner_up, axis=0) + given, axis=0)
        return replace(self, probabilities=changed, enlarged=self.enlarged or cells.enlarged)

    def swapped(self, one: int, other: int) -> "StageMask":
        """Exchange the probabilities of two classes everywhere.

        Raises:
            UserError: unknown class.
        """
        self._check_classes(one, other)
        order = np.arange(len(self.probabilities))
        order[[one, other]] = other, one
        return replace(self, probabilities=self.probabilities[order])

    def replaced(self, label_map: np.ndarray, *, certainty: float = CERTAINTY) -> "StageMask":
        """Replace the mask with a label map averaged over cells; unlabelled pixels keep the prediction.

        Args:
            label_map: (H, W) uint8 class indices, 255 = keep the prediction.
        Raises:
            UserError: the label map has the wrong size, or values that are neither a class nor 255.
        """
        check_size(label_map, size=self.size, what="a label map")
        present = [int(k) for k in np.unique(label_map) if k != IGNORE_INDEX]
        self._check_classes(*present)
        target = np.zeros_like(self.probabilities)
        for k in present:
            target[k] = cell_shares((label_map == k).astype(np.float32), grid=self._grid)
        return replace(self, probabilities=self._mixed(target, certainty))

    @property
    def _grid(self) -> tuple[int, int]:
        return self.probabilities.shape[1], self.probabilities.shape[2]

    def _mixed(self, target: np.ndarray, certainty: float) -> np.ndarray:
        """Mix the mask with a (K, h, w) target whose cells sum to at most 1; the rest of each cell is unchanged."""
        if not 0 <= certainty <= 1:
            raise UserError(
                "out-of-range", f"Expected a certainty in 0 … 1, got {certainty}; choose a value in that range."
            )
        kept = 1 - certainty * target.sum(axis=0).clip(0, 1)
        mixed = kept * self.probabilities + certainty * target
        return (mixed / mixed.sum(axis=0)).astype(np.float32)

    def _check_classes(self, *classes: int) -> None:
        for k in classes:
            if not 0 <= k < len(self.class_names):
                raise UserError(
                    "unknown-choice",
                    f"Expected a class in 0 … {len(self.class_names) - 1} ({self.class_names[0]} … "
                    f"{self.class_names[-1]}), got {k}; choose one of these.",
                )


def stage_mask(prediction: Prediction, stage: str) -> StageMask:
    """The predicted mask of a stage, to be edited.

    Args:
        stage: `ece` or a SAU stage.
    Raises:
        UserError: unknown stage, or `final`, which has no later stages to affect.
    """
    if stage not in prediction.stages or stage == "final":
        names = ", ".join(name for name in prediction.stages if name != "final")
        raise UserError("unknown-choice", f"Expected a stage among {names}, got {stage!r}; choose one of them.")
    logits = prediction.stages[stage].mask_logits
    return StageMask(
        stage=stage,
        size=prediction.image.size,
        class_names=tuple(prediction.class_names),
        probabilities=torch.from_numpy(logits).softmax(dim=0).numpy(),
    )


def edit_mask(
    mask: StageMask,
    action: Action,
    *,
    class_index: int | None = None,
    other: int | None = None,
    region: np.ndarray | None = None,
    label_map: np.ndarray | None = None,
) -> StageMask:
    """Apply an edit to a mask; arguments that the action does not use are ignored.

    - `paint`: assign the region to the class.
    - `erase`: remove the class from the region (the whole photo without a region), in favour of the runner-up per cell.
    - `swap`: exchange the class and the other one everywhere.
    - `replace`: replace the mask with the label map where it is labelled.

    Args:
        class_index: class to paint, erase or swap.
        other: class to swap with.
        region: (H, W) bool; an empty region is an error, unlike None.
        label_map: (H, W) uint8 class indices, 255 = keep the prediction.
    Raises:
        UserError: unknown action, a required argument is missing, or as for the methods of `StageMask`.
    """
    match action:
        case "paint":
            chosen = _required(class_index, "class_name", action)
            return mask.painted(_required(region, "region", action), class_index=chosen)
        case "erase":
            chosen = _required(class_index, "class_name", action)
            everywhere = np.ones(mask.size[::-1], dtype=bool)
            return mask.erased(everywhere if region is None else region, class_index=chosen)
        case "swap":
            return mask.swapped(_required(class_index, "class_name", action), _required(other, "other", action))
        case "replace":
            return mask.replaced(_required(label_map, "label_map", action))
        case _:
            actions = ", ".join(get_args(Action))
            raise UserError(
                "unknown-choice", f"Expected an action among {actions}, got {str(action)[:40]!r}; choose one of them."
            )


def _required(value: T | None, key: str, action: str) -> T:
    """The value, or a UserError if it is None.

    Args:
        key: name of the field in the API.
    """
    if value is not None:
        return value
    if key == "region":
        raise UserError(
            "missing-value",
            f"Expected a painted region for the action {action}, got none; paint on the photo.",
        )
    raise UserError("missing-value", f"Expected {key} for the action {action}, got none; add it to the edit.")
