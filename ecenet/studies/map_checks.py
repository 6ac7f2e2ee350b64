"""Are similarity maps faithful over a whole split? Leakage and robustness beside those of untrained heads. Ours."""

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
"""What is told of the map and of the untrained heads' maps."""


@dataclass(frozen=True)
class MapScore:
    """One number over all photos."""

    stage: str
    measure: str
    photos: int
    """In which both can be told."""
    mean: float
    untrained: float
    """Mean of the untrained heads'."""
    lower: float
    """Share of photos in which the map's own is lower than the untrained heads', 0 … 1."""


def score_maps(
    predictor: Predictor, data: LabelledSplit, *, stages: Sequence[str] = (), limit: int | None = None
) -> list[MapScore]:
    """Check the map of each photo's largest class that is not the background.

    Args:
        stages: whose maps; all by default.
        limit: look at so many images only, evenly spread.
    Raises:
        UserError: there is no such stage, the data's classes are not the weights' classes, or a file is bad.
    """
    check_labels(predictor, data)
    known = predictor.model.stage_names
    stages = list(stages) or known
    unknown = next((stage for stage in stages if stage not in known), None)
    if unknown is not None:
        raise UserError(
            "unknown-choice", f"Expected stages among {', '.join(known)}, got {unknown[:40]!r}; choose among these."
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
    """Markdown."""
    lines = ["| stage | | photos | map | untrained heads | lower than theirs in |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one.stage} | {one.measure} | {one.photos} | {one.mean:.3f} | {one.untrained:.3f} | {one.lower:.0%} |"
        for one in scores
    ]
    return "\n".join(lines)


def map_scores_json(scores: Sequence[MapScore]) -> list[dict[str, object]]:
    return [asdict(one) for one in scores]
