"""What class embeddings know, across photos: of their class by three measures, and of their mask's area and place."""

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


class StageScores(NamedTuple):
    """How well embeddings of one stage keep classes apart, as in `StageQuality`; NaN where there is nothing to tell."""

    purity: float
    silhouette: float


@dataclass(frozen=True)
class StageLayout:
    """How well embeddings of one stage tell where and how large their masks are: R² of a linear read-out that was
    fitted on other photos, at most 1, and 0 or less where the mean would do as well. NaN without two photos. Ours."""

    area: float
    """Of the logarithm of the mask's share of the photo."""
    position: float
    """Of the mask's centre, the mean of x's and y's."""
    class_area: float
    """Of the same from the class alone: as much would an embedding tell that knows nothing but its class."""
    class_position: float
    """As `class_area`, of the centre."""
    rows: int
    """Embeddings that were measured: masks of at least `MIN_AREA` and `MIN_IOU`."""


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
    """Area and position in every stage's embeddings; arguments as for `embedding_quality`.

    Args:
        centre: (N, 2) x and y of each mask's centre, 0 … 1.
    """
    return {
        name: stage_layout(embedding[rows], class_index[rows], image[rows], area=area[rows], centre=centre[rows])
        for name, rows in _measured_rows(stages, stage=stage, area=area, iou=iou).items()
    }


def _measured_rows(
    stages: Sequence[str], *, stage: np.ndarray, area: np.ndarray, iou: np.ndarray
) -> dict[str, np.ndarray]:
    """(N,) bool for each stage: which rows are its own and can be measured."""
    kept = measurable(area, iou)
    return {name: kept & (stage == name) for name in stages}


def stage_layout(
    embedding: np.ndarray, class_index: np.ndarray, image: np.ndarray, *, area: np.ndarray, centre: np.ndarray
) -> StageLayout:
    """The read-outs of (N, D) embeddings; (N,) classes, photos and areas above 0, (N, 2) centres."""
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


def regression_readout(inputs: np.ndarray, targets: np.ndarray, photos: np.ndarray) -> float:
    """R² of a ridge regression of standardised inputs under cross-validation, all rows of a photo in the same fold; the
    mean over targets. NaN where there are fewer than two photos, or a target that never varies.

    Args:
        inputs: (N, D).
        targets: (N, T).
    """
    folds = min(FOLDS, len(np.unique(photos)))
    if folds < 2 or not np.ptp(targets, axis=0).all():
        return float("nan")
    regression = make_pipeline(StandardScaler(), Ridge())
    told = cross_val_predict(regression, inputs, targets, groups=photos, cv=GroupKFold(folds))
    return float(r2_score(targets, told))


def quality_table(quality: dict[str, StageQuality], layout: dict[str, StageLayout] | None = None) -> str:
    """Markdown, one row a stage, coarse to fine.

    Args:
        layout: of the same stages, where it was measured, for two more columns.
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
