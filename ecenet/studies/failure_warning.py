"""Which score of a class in a photo best predicts that its mask is wrong? Compares scores with the IoU of a labelled
bank. Not from the paper."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecenet.analysis.diagnostics.centroid_distance import bank_centroids, centroid_distances
from ecenet.analysis.diagnostics.faithfulness import rank_correlation
from ecenet.analysis.embeddings.cosine import paired_distances
from ecenet.common.errors import UserError
from ecenet.common.files import json_finite
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.studies.bootstrap import (
    Estimate,
    best_threshold,
    estimate,
    failure_auc,
    image_samples,
    precision_and_recall,
)
from ecenet.studies.options import WarningOptions

SAFE_SIGN = {"margin": 1, "distance": -1, "change": 1, "confidence": 1, "area": 1}
"""Scores, and whether high (1) or low (-1) values are safe. The sign for the shift of the embedding is empirical, from
training photos: it is larger for correct masks."""
JOINED = {"confidence + margin": "margin", "confidence + distance": "distance"}
"""Logistic regressions of two scores, fitted on the reference bank, to measure what the second adds to confidence."""


@dataclass(frozen=True)
class ScoreFigures:
    """Results of one score at one stage. NaN if there are no failures, or only failures."""

    score: str
    spearman: Estimate
    """Spearman rank correlation with the IoU, −1 … 1."""
    auc: Estimate
    """AUC: probability that a failure is ranked less safe than a success, 0 … 1."""
    gain: Estimate
    """AUC minus the AUC of confidence, on the same samples."""
    threshold: float
    """Threshold with the best F1 on the reference bank; less safe values give a warning. Infinite if it is best to
    always warn. Log-odds for combined scores."""
    precision: float
    """Precision: share of warnings that are failures."""
    recall: float
    """Recall: share of failures with a warning."""


@dataclass(frozen=True)
class StageFigures:
    """Results of all scores at one stage, on the same pairs of image and class."""

    stage: str
    judged: str
    """Stage whose masks are evaluated."""
    images: int
    pairs: int
    failures: int
    left_out: int
    """Number of pairs excluded because a score is missing, such as classes without a centroid."""
    scores: list[ScoreFigures]


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs of an image and a class predicted in it."""

    image: np.ndarray
    class_index: np.ndarray
    iou: np.ndarray
    scores: dict[str, np.ndarray]
    """(N,) raw values of each score; high is not always safe."""
    left_out: int


def score_warnings(
    reference: EmbeddingBank, bank: EmbeddingBank, options: WarningOptions | None = None
) -> list[StageFigures]:
    """Evaluate every score at every stage.

    Args:
        reference: bank of other images, used to fit centroids, combined scores and thresholds.
        bank: bank on which the scores are evaluated.
    Raises:
        UserError: unknown stage or class, values out of range, or no pairs to evaluate.
    """
    options = options or WarningOptions()
    _check(options, reference, bank)
    centroids = bank_centroids(reference, min_area=options.min_area, min_iou=options.centroid_iou)
    return [_stage_figures(reference, bank, centroids, stage, options) for stage in bank.stages]


def collect_pairs(
    bank: EmbeddingBank, centroids: Mapping[str, np.ndarray], *, stage: str, options: WarningOptions
) -> Pairs:
    """Pairs that the evaluated stage predicts and whose IoU is known, with the scores of embeddings at `stage`.

    Confidence and area are those of the evaluated mask, as shown to users.
    """
    rows_at = {name: _rows(bank, name) for name in bank.stages}
    judged = options.judge or stage
    before = dict(zip(bank.stages[1:], bank.stages, strict=False)).get(stage)
    skipped = [bank.about["class_names"].index(name) for name in options.without]
    wanted = (bank.stage == judged) & (bank.area > options.min_area) & np.isfinite(bank.iou)
    masks = np.flatnonzero(wanted & ~np.isin(bank.class_index, skipped))
    keys = list(zip(bank.image[masks].tolist(), bank.class_index[masks].tolist(), strict=True))
    has_all = np.array([key in rows_at[stage] and (not before or key in rows_at[before]) for key in keys], dtype=bool)
    masks, keys = masks[has_all], [key for key, has in zip(keys, has_all, strict=True) if has]
    rows = np.array([rows_at[stage][key] for key in keys], dtype=np.int64)

    distances = centroid_distances(bank.embedding[rows], bank.class_index[rows], centroids[stage])
    scores = {"margin": distances.margin, "distance": distances.own}
    if before:
        earlier = np.array([rows_at[before][key] for key in keys], dtype=np.int64)
        scores["change"] = paired_distances(bank.embedding[rows], bank.embedding[earlier])
    scores |= {"confidence": bank.confidence[masks], "area": bank.area[masks]}
    finite = np.isfinite(np.stack(list(scores.values()))).all(axis=0)
    return Pairs(
        image=bank.image[rows[finite]],
        class_index=bank.class_index[rows[finite]],
        iou=bank.iou[masks[finite]],
        scores={name: values[finite] for name, values in scores.items()},
        left_out=int((~has_all).sum() + (~finite).sum()),
    )


def _rows(bank: EmbeddingBank, stage: str) -> dict[tuple[int, int], int]:
    rows = np.flatnonzero(bank.stage == stage)
    keys = zip(bank.image[rows].tolist(), bank.class_index[rows].tolist(), strict=True)
    return dict(zip(keys, rows.tolist(), strict=True))


def _stage_figures(
    reference: EmbeddingBank,
    bank: EmbeddingBank,
    centroids: Mapping[str, np.ndarray],
    stage: str,
    options: WarningOptions,
) -> StageFigures:
    known, pairs = (collect_pairs(one, centroids, stage=stage, options=options) for one in (reference, bank))
    if not len(pairs.iou):
        raise UserError(
            "not-enough-data",
            f"Expected classes with a centroid and a rival on more than {options.min_area:g} of an image at {stage}, "
            "got none; embed more images or lower --min-area.",
        )
    known_failed, failed = known.iou < options.failed_below, pairs.iou < options.failed_below
    known_safety, safety = _safety(known, pairs, known_failed=known_failed)
    samples = image_samples(pairs.image, count=options.resamples, seed=options.seed)
    aucs = {name: [failure_auc(values[s], failed[s]) for s in samples] for name, values in safety.items()}
    confidence_auc = failure_auc(safety["confidence"], failed)
    scores = []
    for name, values in safety.items():
        sign = SAFE_SIGN.get(name, 1)
        threshold = best_threshold(known_safety[name], known_failed)
        precision, recall = precision_and_recall(values < threshold, failed)
        auc = failure_auc(values, failed)
        sampled = np.array(aucs[name])
        correlations = np.array([sign * rank_correlation(values[s], pairs.iou[s]) for s in samples])
        scores.append(
            ScoreFigures(
                score=name,
                spearman=estimate(sign * rank_correlation(values, pairs.iou), correlations),
                auc=estimate(auc, sampled),
                gain=estimate(auc - confidence_auc, sampled - np.array(aucs["confidence"])),
                threshold=sign * threshold,
                precision=precision,
                recall=recall,
            )
        )
    return StageFigures(
        stage=stage,
        judged=options.judge or stage,
        images=len(np.unique(pairs.image)),
        pairs=len(pairs.iou),
        failures=int(failed.sum()),
        left_out=pairs.left_out,
        scores=scores,
    )


def _safety(
    known: Pairs, pairs: Pairs, *, known_failed: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores of both banks with sign such that high is safe, plus combined scores if the reference pairs include both
    failures and successes."""
    first, second = ({k: SAFE_SIGN[k] * v for k, v in one.scores.items()} for one in (known, pairs))
    if 0 < known_failed.sum() < len(known_failed):
        for name, other in JOINED.items():
            columns = [np.column_stack([one["confidence"], one[other]]) for one in (first, second)]
            fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(columns[0], ~known_failed)
            first[name], second[name] = (fitted.decision_function(values) for values in columns)
    return first, second


def _check(options: WarningOptions, reference: EmbeddingBank, bank: EmbeddingBank) -> None:
    names = bank.about["class_names"]
    if reference.about["weights_hash"] != bank.about["weights_hash"]:
        raise UserError(
            "wrong-weights",
            f"Expected two banks of the same weights, got {reference.about['weights_hash']} and "
            f"{bank.about['weights_hash']}; embed both splits with the same checkpoint.",
            expected=reference.about["weights_hash"],
            got=bank.about["weights_hash"],
        )
    if reference.about["class_names"] != names:
        raise UserError(
            "wrong-classes",
            f"Expected two banks with the same classes, got {len(reference.about['class_names'])} and {len(names)}; "
            "embed both splits without --map.",
        )
    if options.judge is not None and options.judge not in bank.stages:
        raise UserError(
            "unknown-choice",
            f"Expected a stage among {', '.join(bank.stages)}, got {options.judge!r}; choose one of them.",
        )
    for name in options.without:
        if name not in names:
            raise UserError(
                "unknown-choice", f"Expected classes among {', '.join(names)}, got {name!r}; choose from these."
            )
    shares = (options.failed_below, options.centroid_iou, options.min_area)
    if not all(0 <= share <= 1 for share in shares) or options.resamples < 1:
        came = ", ".join(f"{share:g}" for share in shares)
        raise UserError(
            "out-of-range",
            f"Expected IoUs and area in 0 … 1 and at least 1 resample, got {came} and {options.resamples}; "
            "choose values in these ranges.",
        )


def figures_json(figures: list[StageFigures]) -> list[dict[str, Any]]:
    """Results for JSON, with null for NaN and infinity."""
    return [json_finite(asdict(stage)) for stage in figures]


def warnings_table(figures: list[StageFigures]) -> str:
    """Markdown table with 95 % intervals."""
    lines = [
        "| stage | pairs | failures | score | Spearman | AUC | AUC − confidence's | warns below | precision | recall |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for stage in figures:
        for one in stage.scores:
            side = "above " if SAFE_SIGN.get(one.score) == -1 else ""
            threshold = "always" if math.isinf(one.threshold) else f"{side}{one.threshold:.3f}"
            lines.append(
                f"| {stage.stage} | {stage.pairs} | {stage.failures} | {one.score} | {_interval(one.spearman)} "
                f"| {_interval(one.auc)} | {_interval(one.gain)} | {threshold} "
                f"| {one.precision:.2f} | {one.recall:.2f} |"
            )
    return "\n".join(lines)


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} … {estimate.high:.2f})"
