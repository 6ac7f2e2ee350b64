"""The projection of all embeddings of a session. Points of new photos are placed into it without refitting."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ecenet.analysis.embeddings.copies import equal_rows, first_equal
from ecenet.analysis.embeddings.cosine import Quality, score_projection, unit_vectors
from ecenet.analysis.embeddings.points import EmbeddingPoints, embedding_points, with_reference
from ecenet.analysis.embeddings.projection import (
    MIN_POINTS,
    Fitter,
    Projection,
    ProjectionOptions,
    place,
    project,
)
from ecenet.evaluation.embedding_quality import StageScores, class_silhouette, neighbour_purity
from ecenet.inference.prediction import Prediction

KEPT_KEYS = 4
LEAST_TRUST = 0.9
"""Trustworthiness below which a projection gets a warning. Not from the paper."""


@dataclass(frozen=True)
class MapRequest:
    """Options of a projection; a different request needs a new fit."""

    options: ProjectionOptions = field(default_factory=ProjectionOptions)
    min_area: float = 0.005
    """Exclude classes that cover no more than this share of their image."""
    refits: int = 0
    """Number of refits requested."""
    by_stage: bool = False
    """Project each stage separately, with aligned positions, instead of all stages together."""


@dataclass(frozen=True)
class EmbeddingMap:
    """A projection of N points."""

    key: str
    """Identifies this projection; browser events with another key are outdated."""
    request: MapRequest
    predictions: tuple[Prediction, ...]
    points: EmbeddingPoints
    unit: np.ndarray
    """(N, D) vectors of the points, scaled to length 1."""
    projection: Projection
    quality: Quality
    reference: EmbeddingPoints | None = None
    """Points of reference images that are shown as well."""
    earlier_keys: tuple[str, ...] = ()
    """Keys of earlier projections of the same points, with the same rows at other positions."""

    @property
    def is_reference(self) -> np.ndarray:
        """(N,) bool: points of reference images."""
        return self.points.image >= len(self.predictions)

    @cached_property
    def differs(self) -> np.ndarray:
        """(N,) bool: False for copies, whose embedding equals that of an earlier row (of the same stage, for one
        projection per stage). All measures exclude copies."""
        return _different(self.points, by_stage=self.request.by_stage)

    @property
    def cautions(self) -> tuple[str, ...]:
        """Warnings about the projection."""
        found = [self.projection.caution] if self.projection.caution else []
        stages = self.points.stage[self.differs]
        counts = np.unique(stages, return_counts=True)[1] if self.request.by_stage else np.array([len(stages)])
        trust, copies = self.quality.trustworthiness, int((~self.differs).sum())
        if counts.min(initial=MIN_POINTS) < MIN_POINTS:
            found.append("There are too few points to form clusters.")
        elif trust is not None and trust < LEAST_TRUST:
            found.append(
                f"Low trustworthiness ({trust:.2f}): points that are close in this projection may not have similar "
                "embeddings."
            )
        if copies:
            found.append(
                f"{copies} of {len(self.points)} points are duplicates, for example of a photo that was added twice; "
                "they share their positions and count once."
            )
        return tuple(found)

    @cached_property
    def stage_scores(self) -> dict[str, StageScores]:
        """Class separation of the shown points in the original space, by stage. Cached, so that changing the colours
        stays fast."""
        members = {name: self.differs & (self.points.stage == name) for name in self.points.stage_rows().sequence}
        return {
            name: StageScores(
                purity=neighbour_purity(self.unit[rows], self.points.class_index[rows], self.points.image[rows]),
                silhouette=class_silhouette(self.unit[rows], self.points.class_index[rows]),
            )
            for name, rows in members.items()
        }

    def shows(self, predictions: Sequence[Prediction]) -> bool:
        """Whether this is the projection of exactly these predictions."""
        return len(predictions) == len(self.predictions) and all(
            mine is theirs for mine, theirs in zip(self.predictions, predictions, strict=True)
        )


def draw_map(
    predictions: Sequence[Prediction],
    request: MapRequest,
    *,
    previous: EmbeddingMap | None,
    fitter: Fitter,
    reference: EmbeddingPoints | None = None,
) -> EmbeddingMap:
    """The projection of these predictions: the previous one if unchanged, else extended, else fitted anew.

    With a reference, its points are fitted and those of the predictions are placed among them until a refit is
    requested, so that all visitors see the same projection. Not from the paper.
    """
    earlier_keys = _earlier_keys(previous, predictions, request, reference)
    if previous is not None and (previous.request != request or previous.reference is not reference):
        previous = None
    if previous is not None and previous.shows(predictions) and not previous.projection.waiting:
        return previous
    points = embedding_points(predictions, min_area=request.min_area)
    base = previous
    if reference is not None:
        points = with_reference(points, reference, images=len(predictions))
        if predictions and request.refits == 0 and (base is None or base.projection.waiting):
            base = _reference_map(reference, request, fitter=fitter)
    projection = None
    if base is not None and not base.projection.waiting:
        projection = _grown(base, predictions, points, fitter=fitter)
    if projection is None:
        projection = _project(points, request, fitter=fitter)
    if projection.waiting and previous is not None and previous.shows(predictions):
        return previous  # also waiting for the fitter
    return EmbeddingMap(
        key=uuid.uuid4().hex,
        request=request,
        predictions=tuple(predictions),
        points=points,
        unit=unit_vectors(points.vectors),
        projection=projection,
        quality=_quality(points, projection.coordinates, by_stage=request.by_stage),
        reference=reference,
        earlier_keys=earlier_keys,
    )


def _earlier_keys(
    previous: EmbeddingMap | None,
    predictions: Sequence[Prediction],
    request: MapRequest,
    reference: EmbeddingPoints | None,
) -> tuple[str, ...]:
    """Keys of earlier projections, such as a placeholder, in which a click refers to the same point."""
    if previous is None or not previous.shows(predictions) or previous.reference is not reference:
        return ()
    if previous.request.min_area != request.min_area:
        return ()
    return (previous.key, *previous.earlier_keys)[:KEPT_KEYS]


def _project(points: EmbeddingPoints, request: MapRequest, *, fitter: Fitter) -> Projection:
    rows = points.stage_rows() if request.by_stage else None
    return project(points.vectors, request.options, fitter=fitter, rows=rows)


def _different(points: EmbeddingPoints, *, by_stage: bool) -> np.ndarray:
    return first_equal(points.vectors, points.stage if by_stage else None) == np.arange(len(points))


def _quality(points: EmbeddingPoints, coordinates: np.ndarray, *, by_stage: bool) -> Quality:
    """Quality of one projection, or the mean over the projections of the stages; duplicate points are excluded."""
    different = _different(points, by_stage=by_stage)
    every = [points.stage == name for name in points.stage_rows().sequence] if by_stage else [different]
    of_stages = [
        score_projection(points.vectors[members], coordinates[members], points.class_index[members])
        for members in (different & rows for rows in every)
    ]
    trust = [one.trustworthiness for one in of_stages if one.trustworthiness is not None]
    silhouette = [one.silhouette for one in of_stages if one.silhouette is not None]
    return Quality(
        float(np.mean(trust)) if trust else None,
        float(np.mean(silhouette)) if silhouette else None,
        sum(one.judged for one in of_stages),
    )


def _reference_map(reference: EmbeddingPoints, request: MapRequest, *, fitter: Fitter) -> EmbeddingMap:
    """The projection of the reference only. It is never shown, so its quality is not measured."""
    projection = _project(reference, request, fitter=fitter)
    nothing = Quality(None, None, 0)
    return EmbeddingMap("", request, (), reference, reference.vectors, projection, nothing, reference)


def _grown(
    previous: EmbeddingMap, predictions: Sequence[Prediction], points: EmbeddingPoints, *, fitter: Fitter
) -> Projection | None:
    """The previous projection with new predictions placed into it, or None if a new fit is needed.

    A new fit is needed for a placeholder, for t-SNE, and if more points would be placed than were fitted. New points
    that equal others or each other share one place. Not from the paper.
    """
    projection = previous.projection
    if projection.method != previous.request.options.method or projection.fit is None:
        return None
    known = {id(prediction): index for index, prediction in enumerate(previous.predictions)}
    origin = np.array([known.get(id(prediction), -1) for prediction in predictions], dtype=int)
    of_photos = points.image < len(predictions)
    is_new = np.zeros(len(points), bool)
    is_new[of_photos] = origin[points.image[of_photos]] < 0
    new, by_stage = np.flatnonzero(is_new), previous.request.by_stage
    stages = (points.stage[new], previous.points.stage) if by_stage else None
    equal = equal_rows(points.vectors[new], previous.points.vectors, stages=stages)
    unknown = new[equal < 0]
    first = first_equal(points.vectors[unknown], points.stage[unknown] if by_stage else None)
    kept, place_of = np.unique(first, return_inverse=True)
    rows = unknown[kept]
    placed = projection.placed + len(rows)
    fitted = int(previous.differs.sum()) - projection.placed
    if not len(new) or placed > fitted:
        return None
    coordinates = np.zeros((len(points), projection.coordinates.shape[1]))
    coordinates[new[equal >= 0]] = projection.coordinates[equal[equal >= 0]]
    if len(rows):
        where = place(projection, points.vectors[rows], fitter=fitter, stage=points.stage[rows] if by_stage else None)
        if where is None:
            return None
        coordinates[unknown] = where[place_of]
    coordinates[~of_photos] = projection.coordinates[previous.is_reference]
    for index, old in enumerate(origin):
        if old >= 0:
            coordinates[points.image == index] = projection.coordinates[previous.points.image == old]
    return replace(projection, coordinates=coordinates, placed=placed)


def describe_map(drawn: EmbeddingMap) -> dict[str, Any]:
    """The projection for JSON: how it was made and the position of each point; photos, including reference photos, are
    given by number."""
    points, names = drawn.points, drawn.predictions[0].class_names
    rows = zip(
        points.image.tolist(),
        points.stage.tolist(),
        points.class_index.tolist(),
        drawn.is_reference.tolist(),
        drawn.projection.coordinates.round(4).tolist(),
        strict=True,
    )
    return {
        "method": drawn.projection.method,
        "options": asdict(drawn.request.options),
        "min_area": drawn.request.min_area,
        "placed": drawn.projection.placed,
        "trustworthiness": drawn.quality.trustworthiness,
        "silhouette": drawn.quality.silhouette,
        "points": [
            {"photo": image, "stage": stage, "class": names[k], "reference": reference, "position": position}
            for image, stage, k, reference, position in rows
        ],
    }
