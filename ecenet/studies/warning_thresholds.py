"""Thresholds below which the app warns about a mask, from the study of failure warnings. Not from the paper."""

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
    """The part of the results of `score_warnings` that is stored with a model. Stages without failures, or where the
    best threshold always warns, have no warning.

    Args:
        figures: result of `score_warnings` with `options`.
        about: `about` of the bank on which the scores were evaluated.
    Raises:
        UserError: `options` excludes classes or uses the masks of one stage for all, or no stage has a warning.
    """
    if options.judge is not None or options.without:
        raise UserError(
            "conflicting-options",
            "Expected all classes and each stage's own masks for a warning, got --judge or --without; omit these.",
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
            "Expected both wrong and correct masks, got only one kind; embed more images.",
        )
    return ConfidenceWarning(
        weights_hash=about["weights_hash"],
        data=about["data"],
        split=about["split"],
        failed_below=options.failed_below,
        min_area=options.min_area,
        stages=stages,
    )
