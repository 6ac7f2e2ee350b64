"""Projections of all shown points to a plane or a space: one of all together, or one a stage, each of which follows the
one before, since the positions of unrelated pictures would mean nothing."""

from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np

from ecenet.analysis.embeddings.copies import first_equal
from ecenet.common.errors import UserError

Method = Literal["UMAP", "t-SNE", "PCA"]
MIN_POINTS = 16
"""UMAP and t-SNE draw neighbourhoods; with fewer points than a neighbourhood there is nothing to draw."""
LEAST_NEIGHBORS = 5
"""Of a fit by UMAP, and its perplexity by t-SNE: with fewer, even points of a single normal distribution fall apart
into groups. 300 of them become 120 islands with 2 neighbours, and one to six with 5. Ours."""


@dataclass(frozen=True)
class ProjectionOptions:
    """How to project; what a method has no use for is ignored."""

    method: Method = "UMAP"
    dimensions: int = 2
    seed: int = 0
    neighbors: int = 15
    """UMAP: points of a neighbourhood; fewer show finer structure."""
    min_dist: float = 0.2
    """UMAP: how closely points may lie in the picture."""
    perplexity: float = 30
    """t-SNE: points of a neighbourhood, roughly."""

    def checked(self) -> "ProjectionOptions":
        """Itself, with whole numbers as such.

        Raises:
            UserError: a value is out of its range.
        """
        if self.method not in get_args(Method) or self.dimensions not in (2, 3):
            raise UserError(
                "unknown-choice",
                f"Expected UMAP, t-SNE or PCA in 2 or 3 dimensions, got {str(self.method)[:20]!r} in "
                f"{str(self.dimensions)[:20]!r}; choose from the lists.",
            )
        limits = {"seed": (0, 2**31 - 1), "neighbors": (2, 200), "min_dist": (0, 1), "perplexity": (2, 200)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            # A field that was emptied sends nothing; NaN is in no range.
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise UserError(
                    "out-of-range",
                    f"Expected {name.replace('_', ' ')} in {low} … {high}, got {str(value)[:20]!r}; "
                    "enter one of these.",
                )
        return replace(self, seed=int(self.seed), neighbors=int(self.neighbors))


@dataclass(frozen=True)
class Axes:
    """A fitted PCA."""

    mean: np.ndarray
    """(D,)."""
    directions: np.ndarray
    """(dimensions, D), orthonormal; zero where the data does not span as many."""

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """(N, D) → (N, dimensions)."""
        return (vectors - self.mean) @ self.directions.T


@dataclass(frozen=True)
class Projection:
    """Positions of N points, and how they came about."""

    coordinates: np.ndarray
    """(N, 2 or 3) float."""
    method: Method
    """The one that made it, be it asked for or a stand-in."""
    note: str
    """Why it is not the one that was asked for, with its remedy; empty where it is."""
    fit: "Axes | str | None" = None
    """What places further points: axes, or the key of a fit that the fitter keeps; None for t-SNE."""
    placed: int = 0
    """Points that were placed into the fit rather than fitted."""
    waiting: bool = False
    """PCA stands in until the fitter is there."""
    caution: str = ""
    """In what it differs from the request, lest groups appear in it that are none; empty where it does not."""


@dataclass(frozen=True)
class StageRows:
    """What ties the rows of one stage to those of the next, for pictures of each stage."""

    stage: np.ndarray
    """(N,) stage names."""
    item: np.ndarray
    """(N,) numbers, equal for the same class of the same image."""
    sequence: tuple[str, ...]
    """The stages that occur, coarse to fine."""

    def of(self, kept: np.ndarray) -> "StageRows":
        """Those of some rows, (M,) indices, which hold each stage."""
        return StageRows(self.stage[kept], self.item[kept], self.sequence)


class FitFailedError(Exception):
    """The method refused these points; the message says why."""


class Fitter(Protocol):
    """What fits UMAP and t-SNE; `UmapWorker` does it in a process of its own."""

    def fit(
        self, vectors: np.ndarray, options: ProjectionOptions, rows: StageRows | None = None
    ) -> tuple[np.ndarray, str | None] | None:
        """Coordinates, and the key of the fit where it can place more; None while the fitter starts.

        Args:
            rows: for a picture of each stage; one of all points together without.
        Raises:
            FitFailedError: the method refused the points.
        """

    def place(self, key: str, vectors: np.ndarray, stage: np.ndarray | None = None) -> np.ndarray | None:
        """Coordinates in a fit; None where it is no longer kept.

        Args:
            stage: (N,) names, of pictures of each stage.
        Raises:
            FitFailedError: the method refused the points.
        """


def project(
    vectors: np.ndarray, options: ProjectionOptions, *, fitter: Fitter, rows: StageRows | None = None
) -> Projection:
    """Fit all points, with PCA where the method cannot work. Points that are equal, at the same stage for a picture of
    each, are one point for the fit and lie in one place.

    Args:
        vectors: (N, D), N ≥ 0.
        rows: for a picture of each stage. PCA's axes are those of all points together, too.
    """
    first = first_equal(vectors, None if rows is None else rows.stage)
    kept, place_of = np.unique(first, return_inverse=True)
    options, caution = _with_neighbors_enough(options)
    of_kept = None if rows is None else rows.of(kept)
    projection = _project_different(vectors[kept], options, fitter=fitter, rows=of_kept)
    return replace(
        projection,
        coordinates=projection.coordinates[place_of],
        caution=caution if projection.method == options.method else "",
    )


def _with_neighbors_enough(options: ProjectionOptions) -> tuple[ProjectionOptions, str]:
    """Options whose neighbourhoods tear nothing apart, and what is to be said where they are not the ones asked for."""
    name, value = ("perplexity", options.perplexity) if options.method == "t-SNE" else ("neighbours", options.neighbors)
    if options.method == "PCA" or value >= LEAST_NEIGHBORS:
        return options, ""
    caution = (
        f"Fitted with {name} {LEAST_NEIGHBORS} rather than {value:g}, with which {options.method} shows groups even in "
        "data that has none."
    )
    if options.method == "t-SNE":
        return replace(options, perplexity=LEAST_NEIGHBORS), caution
    return replace(options, neighbors=LEAST_NEIGHBORS), caution


def _project_different(
    vectors: np.ndarray, options: ProjectionOptions, *, fitter: Fitter, rows: StageRows | None
) -> Projection:
    """As `project`, of points that all differ."""
    count = len(vectors)
    if count < 3:
        return _pca(vectors, options, f"There is nothing to compare with {count} points: add another photo.")
    if options.method == "PCA":
        return _pca(vectors, options, "")
    least = count if rows is None else min(np.count_nonzero(rows.stage == name) for name in rows.sequence)
    if least < MIN_POINTS:
        of_stage = "" if rows is None else " of each stage"
        need = f"{options.method} needs at least {MIN_POINTS} points{of_stage} and there are {least}"
        return _pca(vectors, options, f"{need}: shown with PCA. Add another photo.")
    try:
        fitted = fitter.fit(vectors, options, rows)
    except FitFailedError as error:
        return _pca(vectors, options, f"{options.method} failed ({error}): shown with PCA. Try other parameters.")
    if fitted is None:
        note = f"{options.method} is still loading: shown with PCA until it is there."
        return replace(_pca(vectors, options, note), waiting=True)
    coordinates, key = fitted
    return Projection(coordinates, options.method, "", key)


def place(
    projection: Projection, vectors: np.ndarray, *, fitter: Fitter, stage: np.ndarray | None = None
) -> np.ndarray | None:
    """(N, D) → (N, 2 or 3) where further points lie in a fitted picture, or None where they cannot be placed; of
    pictures of each stage with the points' (N,) stages."""
    match projection.fit:
        case Axes() as axes:
            return axes.place(vectors)
        case str() as key:
            try:
                return fitter.place(key, vectors, stage)
            except FitFailedError:
                return None
    return None


def _pca(vectors: np.ndarray, options: ProjectionOptions, note: str) -> Projection:
    axes = principal_axes(vectors, dimensions=options.dimensions)
    return Projection(axes.place(vectors), "PCA", note, axes)


def principal_axes(vectors: np.ndarray, *, dimensions: int) -> Axes:
    """PCA of (N, D), N ≥ 0; each axis points to where its largest weight is positive, so that equal data look equal."""
    width = vectors.shape[1]
    mean = vectors.mean(0) if len(vectors) else np.zeros(width)
    directions = np.zeros((dimensions, width))
    if len(vectors) > 1:
        _, strengths, rows = np.linalg.svd(vectors.astype(np.float64) - mean, full_matrices=False)
        kept = rows[:dimensions][strengths[:dimensions] > 1e-9 * max(strengths[0], 1e-30)]
        largest = np.take_along_axis(kept, np.abs(kept).argmax(1)[:, None], axis=1)
        directions[: len(kept)] = kept * np.sign(largest)
    return Axes(mean, directions)
