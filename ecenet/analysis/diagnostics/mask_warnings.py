"""A warning that the mask of a class may be wrong: its mean confidence is lower than a study found it safe. Ours.

Of the scores in `failure_warning`, confidence warned best on both shipped weights, and none added to it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.inference.prediction import StagePrediction

FORMAT = 1
"""Of the file; a change of what it holds is another one."""


@dataclass(frozen=True)
class StageWarning:
    """How the warning fared at one stage, on photos that the weights were not trained on. Shares, 0 … 1."""

    threshold: float
    """Mean confidence below which it warns."""
    precision: float
    """Share of warnings whose masks were wrong."""
    recall: float
    """Share of wrong masks that it warned of."""
    auc: float
    """Chance that a wrong mask has the lower confidence of the two, beside a right one."""
    images: int
    pairs: int
    """Masks of a class in a photo that were judged."""
    failures: int
    """Those of them that were wrong."""


@dataclass(frozen=True)
class ConfidenceWarning:
    """The thresholds of one model, and what they were measured on."""

    weights_hash: str
    data: str
    split: str
    failed_below: float
    """IoU below which a mask counted as wrong."""
    min_area: float
    """Share of the photo above which a class was looked at."""
    stages: Mapping[str, StageWarning]

    def warns(self, stage: StagePrediction, class_index: int) -> bool:
        """Whether to warn of a class's mask at one stage; never where the study has looked at no such mask."""
        found = self.stages.get(stage.name)
        if found is None or not stage.area[class_index] > self.min_area:
            return False
        return bool(stage.mean_confidence[class_index] < found.threshold)


def warning_json(warning: ConfidenceWarning) -> str:
    return json.dumps({"format": FORMAT, **asdict(warning)}, indent=1)


def read_warning(path: Path, *, weights: str) -> ConfidenceWarning:
    """What `consistency --warning` wrote.

    Args:
        weights: hash of the weights that it must have been measured with.
    Raises:
        UserError: it is no such file, or of other weights.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        stages = {name: StageWarning(**one) for name, one in values.pop("stages").items()}
        if not all(isinstance(value, int | float) for one in stages.values() for value in asdict(one).values()):
            raise ValueError("no number")
        warning = ConfidenceWarning(**values, stages=stages)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "wrong-file",
            f"Expected a file written by `python -m ecenet consistency --warning`, but {path.name} is none; "
            "write it again.",
        ) from error
    if warning.weights_hash != weights:
        raise UserError(
            "wrong-weights",
            f"Expected warnings of the chosen weights ({weights}), but {path.name} was measured with others "
            f"({warning.weights_hash}); run the study again or choose those weights.",
            expected=weights,
            got=warning.weights_hash,
        )
    return warning
