"""The thresholds below which the app warns of a mask, out of a study of warnings. Ours."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from ecenet.analysis.diagnostics.mask_warnings import ConfidenceWarning, StageWarning
from ecenet.common.errors import UserError
from ecenet.studies.failure_warning import StageFigures
from ecenet.studies.options import WarningOptions


def confidence_warning(
    figures: Sequence[StageFigures], about: Mapping[str, Any], options: WarningOptions
) -> ConfidenceWarning:
    """The part of `score_warnings` that a model is shipped with. A stage has no warning where none can be right, as
    without failures, or where it would always warn.

    Args:
        figures: with `options`.
        about: of the bank that the scores were measured on.
    Raises:
        UserError: not every class was judged, and by its own stage's masks; or no stage has a warning.
    """
    if options.judge is not None or options.without:
        raise UserError(
            "conflicting-options",
            "Expected all classes and each stage's own masks for a warning, got --judge or --without; leave these out.",
        )
    stages = {}
    for stage in figures:
        (score,) = (one for one in stage.scores if one.score == "confidence")
        found = StageWarning(
            threshold=score.threshold,
            precision=score.precision,
            recall=score.recall,
            auc=score.auc.value,
            images=stage.images,
            pairs=stage.pairs,
            failures=stage.failures,
        )
        if all(isfinite(value) for value in asdict(found).values()):
            stages[stage.stage] = found
    if not stages:
        raise UserError(
            "not-enough-data",
            "Expected masks that are wrong and others that are not, got one kind only; embed more images.",
        )
    return ConfidenceWarning(
        weights_hash=about["weights_hash"],
        data=about["data"],
        split=about["split"],
        failed_below=options.failed_below,
        min_area=options.min_area,
        stages=stages,
    )
