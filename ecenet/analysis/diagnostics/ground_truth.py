"""Compare a photo's prediction with its ground truth: the pixels that every stage fixed and broke."""

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
    """Ground truth of a photo."""

    mask: np.ndarray
    """(H, W) uint8 class indices, 255 = ignore."""
    class_names: tuple[str, ...]
    """Names of the class indices."""


@dataclass(frozen=True)
class StageScores:
    """Scores of S stages, coarse to fine, for K classes; only labelled pixels count."""

    stages: tuple[str, ...]
    """Names of the S stages."""
    labelled: int
    """Number of pixels that are not 255 in the ground truth."""
    right: np.ndarray
    """(S,) int64 number of correct pixels."""
    fixed: np.ndarray
    """(S-1,) int64 number of pixels that are wrong at a stage and correct at the next."""
    broken: np.ndarray
    """(S-1,) int64 number of pixels that are correct at a stage and wrong at the next."""
    present: list[int]
    """Classes in the ground truth, largest first."""
    iou: np.ndarray
    """(S, K) intersection over union; NaN for a class that is neither labelled nor predicted."""

    @property
    def mean_iou(self) -> np.ndarray:
        """(S,) mean IoU over the classes in the ground truth, the same for all stages so that they can be compared. Not
        from the paper."""
        return self.iou[:, self.present].mean(axis=1)


def compare_with_truth(prediction: Prediction, truth: np.ndarray) -> StageScores:
    """Compute the scores of every stage.

    Args:
        truth: (H, W) uint8 class indices of the photo's size, 255 = ignore, with at least one labelled pixel.
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
    """Read a mask of class indices (255 = ignore) and resize it to a photo with nearest-neighbour sampling.

    Args:
        path: 8-bit greyscale or palette PNG.
        size: the photo's (width, height). The mask can be larger, since photos may be scaled down, but must have the
            same proportions.
        class_names: names of the model's K classes.
        content: content of the file if it is not on disk; `path` is then only used in messages.
        max_pixels: maximum size of the mask.
    Raises:
        UserError: the mask cannot be read, is too large, has other proportions, has values that are neither a class
            nor 255, or has no labelled pixels.
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
            f"but {path.name} contains {bad[0]}; choose a mask with this model's classes.",
        )
    if (resized == IGNORE_INDEX).all():
        raise UserError(
            "not-enough-data",
            f"Expected a mask with labelled pixels, but all pixels of {path.name} are {IGNORE_INDEX} (ignored); "
            "label some pixels.",
        )
    return Truth(resized, tuple(class_names))


def _read(path: Path, content: bytes | None, *, max_pixels: int) -> np.ndarray:
    """(h, w) uint8 values. Messages contain only the file's name, not where the server stores the upload."""
    try:
        # Check kind and size in the header before decoding.
        image_size(path if content is None else content, max_pixels=max_pixels)
        return read_indices(path, content=content, max_pixels=max_pixels)
    except UserError as error:
        raise error.retold(str(error).replace(str(path), path.name)) from error
