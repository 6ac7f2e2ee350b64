"""A photo's prediction against its ground truth: what every stage mended and broke."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ecenet.analysis.interventions.regions import fit_to_photo
from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS, image_size
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.split import read_indices, values_of
from ecenet.evaluation.metrics import confusion_matrix, intersection_over_union
from ecenet.inference.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Truth:
    """A photo's ground truth."""

    mask: np.ndarray
    """(H, W) uint8 class indices, 255 = ignore."""
    class_names: tuple[str, ...]
    """What the indices mean."""


@dataclass(frozen=True)
class StageScores:
    """How right each stage is. S stages, coarse to fine, K classes; only labelled pixels count."""

    stages: tuple[str, ...]
    """S names."""
    labelled: int
    """Pixels that are not 255 in the truth."""
    right: np.ndarray
    """(S,) int64 pixels with the true class."""
    fixed: np.ndarray
    """(S-1,) int64 pixels that were wrong at a stage and are right at the next."""
    broken: np.ndarray
    """(S-1,) int64 pixels that were right at a stage and are wrong at the next."""
    present: list[int]
    """Classes of the truth, largest first."""
    iou: np.ndarray
    """(S, K) intersection over union; NaN for a class that is neither labelled nor predicted."""

    @property
    def mean_iou(self) -> np.ndarray:
        """(S,) over the truth's classes: the same ones at every stage, so that stages can be compared. Ours."""
        return self.iou[:, self.present].mean(axis=1)


def compare_with_truth(prediction: Prediction, truth: np.ndarray) -> StageScores:
    """Score every stage.

    Args:
        truth: (H, W) uint8 class indices, 255 = ignore, of the photo's size, with at least one labelled pixel.
    """
    num_classes = len(prediction.class_names)
    labelled = truth != IGNORE_INDEX
    label_maps = [stage.label_map for stage in prediction.stages.values()]
    right = [(labels == truth) & labelled for labels in label_maps]
    pairs = list(pairwise(right))
    confusions = [confusion_matrix(truth, labels, num_classes=num_classes) for labels in label_maps]
    areas = confusions[0].sum(axis=1)
    return StageScores(
        stages=tuple(prediction.stages),
        labelled=int(labelled.sum()),
        right=np.array([pixels.sum() for pixels in right]),
        fixed=np.array([(after & ~before).sum() for before, after in pairs]),
        broken=np.array([(before & ~after).sum() for before, after in pairs]),
        present=[int(k) for k in np.argsort(-areas, kind="stable") if areas[k]],
        iou=np.stack([intersection_over_union(confusion) for confusion in confusions]),
    )


def read_truth(
    path: str | Path,
    *,
    size: tuple[int, int],
    class_names: list[str],
    content: bytes | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Truth:
    """Read a mask of class indices, 255 = ignore, and bring it to a photo's size without mixing classes.

    Args:
        path: an 8-bit greyscale or palette PNG.
        size: the photo's (width, height). It may have been scaled down, so the mask need only have its proportions.
        class_names: of the model; K of them.
        content: of the file, where that is not on disk; `path` then only names it.
        max_pixels: of the largest mask to accept.
    Raises:
        UserError: no such mask, too large, other proportions, a value that is neither a class nor 255, or nothing
            labelled.
    """
    path = Path(path)
    mask = _read(path, content, max_pixels=max_pixels)
    resized = fit_to_photo(mask, size=size, name=path.name)
    present = values_of(mask)
    bad = present[(present >= len(class_names)) & (present != IGNORE_INDEX)]
    if bad.size:
        raise UserError(
            "unknown-mask-value",
            f"Expected mask values 0 … {len(class_names) - 1} (this model's classes) or {IGNORE_INDEX}, "
            f"but {path.name} holds {bad[0]}; choose a mask with this model's classes.",
        )
    if (resized == IGNORE_INDEX).all():
        raise UserError(
            "not-enough-data",
            f"Expected a mask with labelled pixels, but all of {path.name} is {IGNORE_INDEX} (ignored); "
            "label some pixels.",
        )
    return Truth(resized, tuple(class_names))


def _read(path: Path, content: bytes | None, *, max_pixels: int) -> np.ndarray:
    """(h, w) uint8. Messages name the file alone: where the server keeps an upload is nobody's business."""
    try:
        # The header first: it tells the kind and the size before anything is unpacked.
        image_size(path if content is None else content, max_pixels=max_pixels)
        return read_indices(path, content=content, max_pixels=max_pixels)
    except UserError as error:
        raise error.retold(str(error).replace(str(path), path.name)) from error
