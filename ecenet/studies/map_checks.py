"""Study of similarity maps on a split: leakage and robustness in comparison with untrained heads. Not from the
paper."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from ecenet.analysis.diagnostics.map_checks import MapChecks, check_map
from ecenet.common.errors import UserError
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.evaluate import check_labels, picked_images
from ecenet.inference.predictor import Predictor

MEASURES: dict[str, tuple[Callable[[MapChecks], float], Callable[[MapChecks], float]]] = {
    "leakage outside the class": (lambda one: one.leakage.outside, lambda one: one.untrained_leakage.outside),
    "change inside the class": (lambda one: one.leakage.inside, lambda one: one.untrained_leakage.inside),
    "robustness": (lambda one: one.robustness, lambda one: one.untrained_robustness),
}
"""Measures by name, for the map and for the maps of untrained heads."""


@dataclass(frozen=True)
class MapScore:
    """One measure over all photos."""

    stage: str
    measure: str
    photos: int
    """Number of photos in which both are defined."""
    mean: float
    untrained: float
    """Mean for the untrained heads."""
    lower: float
    """Share of photos in which the value is lower for the map than for the untrained heads, 0 … 1."""


def score_maps(
    predictor: Predictor, data: LabelledSplit, *, stages: Sequence[str] = (), limit: int | None = None
) -> list[MapScore]:
    """Check the map of the largest class (except background) of each photo.

    Args:
        stages: stages of the maps; all by default.
        limit: use only this many images, evenly spaced.
    Raises:
        UserError: unknown stage, the classes of data and weights differ, or a file cannot be read.
    """
    check_labels(predictor, data)
    known = predictor.model.stage_names
    stages = list(stages) or known
    unknown = next((stage for stage in stages if stage not in known), None)
    if unknown is not None:
        raise UserError(
            "unknown-choice", f"Expected stages among {', '.join(known)}, got {unknown[:40]!r}; choose from these."
        )
    found: dict[str, list[MapChecks]] = {stage: [] for stage in stages}
    for index in tqdm(picked_images(data, limit=limit), desc="Checking maps", unit="image"):
        image, _ = data.load(int(index))
        prediction = predictor.predict(image)
        names = prediction.class_names
        k = next((k for k in prediction.final.present() if names[k] != "background"), None)
        if k is not None:
            for stage in stages:
                found[stage].append(check_map(predictor, prediction, stage=stage, class_index=k))
    return [_score(stage, measure, checks) for stage, checks in found.items() for measure in MEASURES]


def _score(stage: str, measure: str, checks: Sequence[MapChecks]) -> MapScore:
    own, untrained = (np.array([number(one) for one in checks]) for number in MEASURES[measure])
    known = np.isfinite(own) & np.isfinite(untrained)
    if not known.any():
        return MapScore(stage, measure, 0, float("nan"), float("nan"), float("nan"))
    own, untrained = own[known], untrained[known]
    return MapScore(
        stage, measure, len(own), float(own.mean()), float(untrained.mean()), float((own < untrained).mean())
    )


def map_table(scores: Sequence[MapScore]) -> str:
    """Markdown table, one row per stage and measure."""
    lines = ["| stage | | photos | map | untrained heads | lower than theirs in |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.stage} | {one.measure} | {one.photos} | {one.mean:.3f} | {one.untrained:.3f} | {one.lower:.0%} |"
        for one in scores
    ]
    return "\n".join(lines)


def map_scores_json(scores: Sequence[MapScore]) -> list[dict[str, object]]:
    return [asdict(one) for one in scores]
