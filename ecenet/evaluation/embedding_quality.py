"""Whether class embeddings keep their class: three measures of each stage, across photos."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import silhouette_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

MIN_AREA = 0.005
"""Share of the photo that a mask must cover: the embedding of a handful of pixels says little. Ours."""
MIN_IOU = 0.5
"""Intersection over union that a mask must have: that of a wrong mask is not of its class. Ours."""
FOLDS = 5
"""Of the read-out's cross-validation."""
CHUNK_ENTRIES = 20_000_000
"""Similarities that are held at once, 80 MB."""
MAX_SILHOUETTE_ROWS = 10_000
"""Beyond them the silhouette, which compares all pairs, is that of as many rows drawn with a fixed seed."""


@dataclass(frozen=True)
class StageQuality:
    """Of one stage. NaN where fewer than two classes are seen in two photos."""

    purity: float
    """0 … 1: share of embeddings whose nearest neighbour in another photo, by cosine, has the same class."""
    silhouette: float
    """−1 … 1: mean silhouette by class, cosine distance (Rousseeuw 1987, scikit-learn's)."""
    linear: float
    """0 … 1: share of embeddings whose class a linear classifier tells that was fitted on other photos."""
    rows: int
    """Embeddings that were measured: masks of at least `MIN_AREA` and `MIN_IOU`, of classes that two photos have."""
    classes: int
    """Classes that at least two photos have; the embedding of any other has no partner to be near to."""


def measurable(area: np.ndarray | float, iou: np.ndarray | float) -> Any:
    """bool, of one mask or (N,) of many: large and right enough for its embedding to be measured; an IoU of NaN is not
    right."""
    return (area >= MIN_AREA) & (iou >= MIN_IOU)


def embedding_quality(
    *,
    stages: Sequence[str],
    stage: np.ndarray,
    image: np.ndarray,
    class_index: np.ndarray,
    area: np.ndarray,
    iou: np.ndarray,
    embedding: np.ndarray,
) -> dict[str, StageQuality]:
    """All three measures of every stage.

    Args:
        stages: names of the stages to report, coarse to fine.
        stage, image, class_index, area, iou: (N,) of each row; area and IoU in 0 … 1, NaN where there is no IoU.
        embedding: (N, D).
    """
    kept = measurable(area, iou)
    return {
        name: stage_quality(embedding[rows], class_index[rows], image[rows])
        for name, rows in ((name, kept & (stage == name)) for name in stages)
    }


def stage_quality(embedding: np.ndarray, class_index: np.ndarray, image: np.ndarray) -> StageQuality:
    """The measures of (N, D) embeddings; (N,) classes and photos. Rows of classes in a single photo are left out."""
    shared = [k for k in np.unique(class_index) if len(np.unique(image[class_index == k])) >= 2]
    rows = np.isin(class_index, shared)
    count = int(rows.sum())
    if len(shared) < 2:
        nan = float("nan")
        return StageQuality(nan, nan, nan, count, len(shared))
    unit = normalize(embedding[rows].astype(np.float32))
    classes, photos = class_index[rows], image[rows]
    return StageQuality(
        purity=neighbour_purity(unit, classes, photos),
        silhouette=class_silhouette(unit, classes),
        linear=linear_readout(embedding[rows], classes, photos),
        rows=count,
        classes=len(shared),
    )


def neighbour_purity(unit: np.ndarray, classes: np.ndarray, photos: np.ndarray) -> float:
    """Share of rows whose nearest neighbour among those of other photos has the same class; NaN without any such.

    Args:
        unit: (N, D) vectors of length 1. Of neighbours that are equally near, the first row counts.
    """
    if len(np.unique(photos)) < 2:
        return float("nan")
    step = max(1, CHUNK_ENTRIES // len(unit))
    same = 0
    for start in range(0, len(unit), step):
        part = slice(start, start + step)
        similarity = unit[part] @ unit.T
        similarity[photos[part, None] == photos] = -np.inf
        same += int((classes[similarity.argmax(axis=1)] == classes[part]).sum())
    return same / len(unit)


def class_silhouette(unit: np.ndarray, classes: np.ndarray) -> float:
    """Mean silhouette by cosine distance; NaN where there is one class, or none holds two rows."""
    if len(unit) > MAX_SILHOUETTE_ROWS:
        drawn = np.random.default_rng(0).choice(len(unit), MAX_SILHOUETTE_ROWS, replace=False)
        unit, classes = unit[drawn], classes[drawn]
    if not 2 <= len(np.unique(classes)) < len(unit):
        return float("nan")
    return float(silhouette_score(unit, classes, metric="cosine"))


def linear_readout(embedding: np.ndarray, classes: np.ndarray, photos: np.ndarray) -> float:
    """Accuracy of a ridge classifier of standardised embeddings under cross-validation, all rows of a photo in the
    same fold; NaN where there are fewer than two classes or photos."""
    # A fold for each photo at most, and no more than the most frequent class has rows, as scikit-learn asks for.
    folds = min(FOLDS, len(np.unique(photos)), int(np.unique(classes, return_counts=True)[1].max(initial=0)))
    if folds < 2 or len(np.unique(classes)) < 2:
        return float("nan")
    right = 0
    with warnings.catch_warnings():
        # Of classes that fewer photos have than there are folds.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splits = list(StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(embedding, classes, photos))
    for fitted, told in splits:
        # A single class left to fit to, or a fold that no photo fell to, tells nothing: its rows count as wrong.
        if len(told) and len(np.unique(classes[fitted])) > 1:
            classifier = make_pipeline(StandardScaler(), RidgeClassifier())
            classifier.fit(embedding[fitted], classes[fitted])
            right += int((classifier.predict(embedding[told]) == classes[told]).sum())
    return right / len(classes)


def quality_table(quality: dict[str, StageQuality]) -> str:
    """Markdown, one row a stage, coarse to fine."""
    lines = ["| stage | purity | silhouette | linear read-out | embeddings | classes |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {name} | {one.purity:.3f} | {one.silhouette:.3f} | {one.linear:.3f} | {one.rows} | {one.classes} |"
        for name, one in quality.items()
    ]
    return "\n".join(lines)
