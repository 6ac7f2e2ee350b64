"""A stage's mask, changed by hand: paint a class, erase it, swap two, or replace the mask by a label map. Ours."""

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
"""What `edit_mask` can do: the words of the What if tab and of the API alike."""
T = TypeVar("T")

CERTAINTY = 0.99
"""Share of a cell's probability that an edit gives away where it covers the cell: about as sure as the network is of
its surest cells. With all of it one edit of one stage would outvote every other stage in the final sum of masks."""


@dataclass(frozen=True, eq=False)
class StageMask:
    """Mask probabilities of one stage of one photo. Every edit returns another mask, so that edits follow each other.

    K classes of the prediction, added ones among them; h×w the stage's grid.
    """

    stage: str
    size: tuple[int, int]
    """The photo's (width, height)."""
    class_names: tuple[str, ...]
    """K names."""
    probabilities: np.ndarray
    """(K, h, w) float32; each cell sums to 1."""
    enlarged: bool = False
    """A region was smaller than a cell and stood for all of the cells that it touches."""

    @property
    def edits(self) -> StageEdits:
        """For `HeadEdits.stages`, under this stage's name."""
        return StageEdits(mask=torch.from_numpy(self.probabilities)[None])

    def painted(self, region: np.ndarray, *, class_index: int, certainty: float = CERTAINTY) -> "StageMask":
        """The class gets `certainty` of every cell's probability, as far as the region covers the cell.

        Args:
            region: (H, W) bool.
        Raises:
            UserError: no such class, or a region of another size or without a pixel.
        """
        self._check_classes(class_index)
        cells = region_weights(region, size=self.size, grid=self._grid)
        target = np.zeros_like(self.probabilities)
        target[class_index] = cells.weights
        return replace(self, probabilities=self._mixed(target, certainty), enlarged=self.enlarged or cells.enlarged)

    def erased(self, region: np.ndarray, *, class_index: int, certainty: float = CERTAINTY) -> "StageMask":
        """`certainty` of the class's probability goes to the strongest other class of each cell, as far as the region
        covers the cell. Arguments and errors as for `painted`."""
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
        """Two classes change their probabilities everywhere.

        Raises:
            UserError: no such class.
        """
        self._check_classes(one, other)
        order = np.arange(len(self.probabilities))
        order[[one, other]] = other, one
        return replace(self, probabilities=self.probabilities[order])

    def replaced(self, label_map: np.ndarray, *, certainty: float = CERTAINTY) -> "StageMask":
        """Every labelled pixel's class, averaged over cells; the prediction stays where nothing is labelled.

        Args:
            label_map: (H, W) uint8 class indices, 255 = keep the prediction.
        Raises:
            UserError: another size, or a value that is neither a class nor 255.
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
        """(K, h, w) target whose cells sum to at most 1: the rest stays as it is, and so do cells' sums."""
        if not 0 <= certainty <= 1:
            raise UserError("out-of-range", f"Expected a certainty of 0 … 1, got {certainty}; choose a number between.")
        kept = 1 - certainty * target.sum(axis=0).clip(0, 1)
        mixed = kept * self.probabilities + certainty * target
        return (mixed / mixed.sum(axis=0)).astype(np.float32)

    def _check_classes(self, *classes: int) -> None:
        for k in classes:
            if not 0 <= k < len(self.class_names):
                raise UserError(
                    "unknown-choice",
                    f"Expected a class of 0 … {len(self.class_names) - 1} ({self.class_names[0]} … "
                    f"{self.class_names[-1]}), got {k}; choose one of these.",
                )


def stage_mask(prediction: Prediction, stage: str) -> StageMask:
    """The mask that a stage predicted, ready to be changed.

    Args:
        stage: `ece` or a SAU stage.
    Raises:
        UserError: no such stage, or `final`, which nothing follows.
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
    """One more edit of a mask, as somebody asked for it; what an action has no use for is left aside.

    - `paint`: the class takes the region.
    - `erase`: the class loses the region to the runner-up of each cell; without a region, it loses the whole photo.
    - `swap`: the class and the other one change places, everywhere.
    - `replace`: the label map takes the mask's place where it is labelled.

    Args:
        class_index: of the class to paint, erase or swap.
        other: the class to swap it with.
        region: (H, W) bool; one without a pixel is no missing one, and is refused.
        label_map: (H, W) uint8 class indices, 255 = keep the prediction.
    Raises:
        UserError: no such action, something that it needs is missing, or as for the methods of `StageMask`.
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
                "unknown-choice", f"Expected an action of the list {actions}, got {str(action)[:40]!r}; choose one."
            )


def _required(value: T | None, key: str, action: str) -> T:
    """Args:
    key: what the API calls it.
    """
    if value is not None:
        return value
    if key == "region":
        raise UserError(
            "missing-value",
            f"Expected a painted region for the action {action}, got none; paint over some of the photo.",
        )
    raise UserError("missing-value", f"Expected {key} for the action {action}, got none; add it to the edit.")
