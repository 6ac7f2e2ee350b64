"""What class embeddings encode across photos: their class (three measures), and the area and position of their mask."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import r2_score, silhouette_score
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

MIN_AREA = 0.005
"""Minimum area of a mask as a share of the photo; embeddings of a few pixels are noisy. Not from the paper."""
MIN_IOU = 0.5
"""Minimum IoU of a mask; the embedding of a wrong mask does not represent its class. Not from the paper."""
FOLDS = 5
"""Folds of the cross-validation of linear read-outs."""
CHUNK_ENTRIES = 20_000_000
"""Maximum number of similarities in memory (80 MB)."""
MAX_SILHOUETTE_ROWS = 10_000
"""Maximum number of rows for the silhouette, which compares all pairs; more are subsampled with a fixed seed."""


@dataclass(frozen=True)
class StageQuality:
    """Class separation of one stage. NaN if fewer than two classes occur in two photos each."""

    purity: float
    """0 … 1: share of embeddings whose nearest neighbour in another photo, by cosine, has the same class."""
    silhouette: float
    """−1 … 1: mean silhouette by class, cosine distance (Rousseeuw 1987, scikit-learn's)."""
    linear: float
    """0 … 1: share of embeddings that a linear classifier fitted on other photos assigns to their class."""
    rows: int
    """Number of embeddings measured: masks with at least `MIN_AREA` and `MIN_IOU`, of classes in two or more photos."""
    classes: int
    """Number of classes in two or more photos; embeddings of other classes have nothing to be compared with."""


class StageScores(NamedTuple):
    """The three measures of `StageQuality`; NaN where they are undefined."""

    purity: float
    silhouette: float


@dataclass(frozen=True)
class StageLayout:
    """How well embeddings of one stage encode the area and position of their masks: R² of a linear read-out fitted on
    other photos (at most 1; 0 or less if it is no better than the mean). NaN with fewer than two photos. Not from the
    paper."""

    area: float
    """R² for the logarithm of the mask's share of the photo."""
    position: float
    """R² for the mask's centre, mean of x and y."""
    class_area: float
    """R² for the area predicted from the class alone: the baseline for an embedding that encodes only its class."""
    class_position: float
    """As `class_area`, for the centre."""
    rows: int
    """Number of embeddings measured: masks with at least `MIN_AREA` and `MIN_IOU`."""


def measurable(area: np.ndarray | float, iou: np.ndarray | float) -> Any:
    """Whether masks are large and accurate enough to be measured; bool or (N,) bool. False if the IoU is NaN."""
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
    """All three measures for every stage.

    Args:
        stages: names of the stages to report, coarse to fine.
        stage, image, class_index, area, iou: (N,) values per row; area and IoU in 0 … 1, IoU can be NaN.
        embedding: (N, D) embeddings.
    """
    return {
        name: stage_quality(embedding[rows], class_index[rows], image[rows])
        for name, rows in _measured_rows(stages, stage=stage, area=area, iou=iou).items()
    }


def embedding_layout(
    *,
    stages: Sequence[str],
    stage: np.ndarray,
    image: np.ndarray,
    class_index: np.ndarray,
    area: np.ndarray,
    iou: np.ndarray,
    embedding: np.ndarray,
    centre: np.ndarray,
) -> dict[str, StageLayout]:
    """R² of area and position for every stage; arguments as for `embedding_quality`.

    Args:
        centre: (N, 2) x and y of the masks' centres, 0 … 1.
    """
    return {
        name: stage_layout(embedding[rows], class_index[rows], image[rows], area=area[rows], centre=centre[rows])
        for name, rows in _measured_rows(stages, stage=stage, area=area, iou=iou).items()
    }


def _measured_rows(
    stages: Sequence[str], *, stage: np.ndarray, area: np.ndarray, iou: np.ndarray
) -> dict[str, np.ndarray]:
    """(N,) bool for each stage: the rows of the stage that can be measured."""
    kept = measurable(area, iou)
    return {name: kept & (stage == name) for name in stages}


def stage_layout(
    embedding: np.ndarray, class_index: np.ndarray, image: np.ndarray, *, area: np.ndarray, centre: np.ndarray
) -> StageLayout:
    """Read-outs of (N, D) embeddings; with (N,) classes, photos and areas above 0, and (N, 2) centres."""
    log_area = np.log(area)[:, None]
    only_class = (class_index[:, None] == np.unique(class_index)).astype(np.float32)
    return StageLayout(
        area=regression_readout(embedding, log_area, image),
        position=regression_readout(embedding, centre, image),
        class_area=regression_readout(only_class, log_area, image),
        class_position=regression_readout(only_class, centre, image),
        rows=len(embedding),
    )


def stage_quality(embedding: np.ndarray, class_index: np.ndarray, image: np.ndarray) -> StageQuality:
    """Measures of (N, D) embeddings with (N,) classes and photos. Classes in a single photo are excluded."""
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
    """Share of rows whose nearest neighbour in another photo has the same class; NaN if there is no other photo.

    Args:
        unit: (N, D) vectors of length 1. Of equally near neighbours, the first row counts.
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
    """Mean silhouette by cosine distance; NaN with a single class, or if no class has two rows."""
    if len(unit) > MAX_SILHOUETTE_ROWS:
        drawn = np.random.default_rng(0).choice(len(unit), MAX_SILHOUETTE_ROWS, replace=False)
        unit, classes = unit[drawn], classes[drawn]
    if not 2 <= len(np.unique(classes)) < len(unit):
        return float("nan")
    return float(silhouette_score(unit, classes, metric="cosine"))


def linear_readout(embedding: np.ndarray, classes: np.ndarray, photos: np.ndarray) -> float:
    """Cross-validated accuracy of a ridge classifier on standardised embeddings, with all rows of a photo in the same
    fold; NaN with fewer than two classes or photos."""
    # scikit-learn requires at most as many folds as photos and as rows of the most frequent class.
    folds = min(FOLDS, len(np.unique(photos)), int(np.unique(classes, return_counts=True)[1].max(initial=0)))
    if folds < 2 or len(np.unique(classes)) < 2:
        return float("nan")
    right = 0
    with warnings.catch_warnings():
        # Raised for classes that occur in fewer photos than there are folds.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splits = list(StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(embedding, classes, photos))
    for fitted, told in splits:
        # A fold with a single training class, or without test photos, cannot be scored: its rows count as wrong.
        if len(told) and len(np.unique(classes[fitted])) > 1:
            classifier = make_pipeline(StandardScaler(), RidgeClassifier())
            classifier.fit(embedding[fitted], classes[fitted])
            right += int((classifier.predict(embedding[told]) == classes[told]).sum())
    return right / len(classes)


def regression_readout(inputs: np.ndarray, targets: np.ndarray, photos: np.ndarray) -> float:
    """Cross-validated R² of a ridge regression on standardised inputs, with all rows of a photo in the same fold; mean
    over targets. NaN with fewer than two photos, or if a target is constant.

    Args:
        inputs: (N, D) array.
        targets: (N, T) array.
    """
    folds = min(FOLDS, len(np.unique(photos)))
    if folds < 2 or not np.ptp(targets, axis=0).all():
        return float("nan")
    regression = make_pipeline(StandardScaler(), Ridge())
    told = cross_val_predict(regression, inputs, targets, groups=photos, cv=GroupKFold(folds))
    return float(r2_score(targets, told))


def quality_table(quality: dict[str, StageQuality], layout: dict[str, StageLayout] | None = None) -> str:
    """A Markdown table with one row per stage, coarse to fine.

    Args:
        layout: adds two columns, for the same stages.
    """
    titles = ["stage", "purity", "silhouette", "linear read-out", "embeddings", "classes"]
    if layout is not None:
        titles += ["R² of area", "R² of position"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, one in quality.items():
        cells = [name, *(f"{share:.3f}" for share in (one.purity, one.silhouette, one.linear))]
        cells += [str(one.rows), str(one.classes)]
        if layout is not None:
            cells += [f"{layout[name].area:.3f}", f"{layout[name].position:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
