"""Warn that the mask of a class may be wrong, because its mean confidence is below a threshold measured by a study.

Not from the paper. Of the scores in `failure_warning`, confidence was the best predictor for both included weights, and
no other score improved on it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.inference.prediction import StagePrediction

FORMAT = 1
"""Version of the file format; changes with its content."""


@dataclass(frozen=True)
class StageWarning:
    """Quality of the warning at one stage, on photos not used for training. Shares are 0 … 1."""

    threshold: float
    """Mean confidence below which to warn."""
    precision: float
    """Precision: share of warnings whose masks were wrong."""
    recall: float
    """Recall: share of wrong masks with a warning."""
    auc: float
    """AUROC: probability that a wrong mask has a lower confidence than a correct one."""
    images: int
    pairs: int
    """Number of masks (class in a photo) measured."""
    failures: int
    """Number of those masks that were wrong."""


@dataclass(frozen=True)
class ConfidenceWarning:
    """Warning thresholds of one model, and how they were measured."""

    weights_hash: str
    data: str
    split: str
    failed_below: float
    """IoU below which a mask counts as wrong."""
    min_area: float
    """Minimum share of the photo of the masks measured."""
    stages: Mapping[str, StageWarning]

    def warns(self, stage: StagePrediction, class_index: int) -> bool:
        """Whether to warn about a class's mask at a stage; False for masks that the study did not measure."""
        found = self.stages.get(stage.name)
        if found is None or not stage.area[class_index] > self.min_area:
            return False
        return bool(stage.mean_confidence[class_index] < found.threshold)


def warning_json(warning: ConfidenceWarning) -> str:
    return json.dumps({"format": FORMAT, **asdict(warning)}, indent=1)


def read_warning(path: Path, *, weights: str) -> ConfidenceWarning:
    """Read the file that `consistency --warning` wrote.

    Args:
        weights: hash of the weights that the file must belong to.
    Raises:
        UserError: the file is not a warning file, or belongs to other weights.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("unknown format")
        stages = {name: StageWarning(**one) for name, one in values.pop("stages").items()}
        if not all(isinstance(value, int | float) for one in stages.values() for value in asdict(one).values()):
            raise ValueError("not a finite number")
        warning = ConfidenceWarning(**values, stages=stages)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "wrong-file",
            f"Expected a file written by `python -m ecenet consistency --warning`, but {path.name} is not one; "
            "write it again.",
        ) from error
    if warning.weights_hash != weights:
        raise UserError(
            "wrong-weights",
            f"Expected warnings for the chosen weights ({weights}), but {path.name} was measured with other weights "
            f"({warning.weights_hash}); run the study again or choose those weights.",
            expected=weights,
            got=warning.weights_hash,
        )
    return warning
