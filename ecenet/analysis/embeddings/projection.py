"""Projections of all shown points to two or three dimensions: one for all stages together, or one per stage, aligned
with that of the previous stage so that positions can be compared."""

from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np

from ecenet.analysis.embeddings.copies import first_equal
from ecenet.common.errors import UserError

Method = Literal["UMAP", "t-SNE", "PCA"]
MIN_POINTS = 16
"""Minimum number of points for UMAP and t-SNE, which need neighbourhoods."""
LEAST_NEIGHBORS = 5
"""Minimum neighbourhood size of UMAP and minimum perplexity of t-SNE. With fewer, even points of a single normal
distribution fall into groups: 300 of them form 120 islands with 2 neighbours, and one to six with 5. Not from the
paper."""


@dataclass(frozen=True)
class ProjectionOptions:
    """Options of a projection; those that the method does not have are ignored."""

    method: Method = "UMAP"
    dimensions: int = 2
    seed: int = 0
    neighbors: int = 15
    """UMAP: neighbourhood size; smaller values show finer structure."""
    min_dist: float = 0.2
    """UMAP: minimum distance between points in the projection."""
    perplexity: float = 30
    """t-SNE: approximate neighbourhood size."""

    def checked(self) -> "ProjectionOptions":
        """The options after validation, with integers converted to int.

        Raises:
            UserError: a value is out of range.
        """
        if self.method not in get_args(Method) or self.dimensions not in (2, 3):
            raise UserError(
                "unknown-choice",
                f"Expected UMAP, t-SNE or PCA in 2 or 3 dimensions, got {str(self.method)[:20]!r} in "
                f"{str(self.dimensions)[:20]!r} dimensions; choose from the lists.",
            )
        limits = {"seed": (0, 2**31 - 1), "neighbors": (2, 200), "min_dist": (0, 1), "perplexity": (2, 200)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            # An empty field sends None; NaN is in no range.
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise UserError(
                    "out-of-range",
                    f"Expected {name.replace('_', ' ')} in {low} … {high}, got {str(value)[:20]!r}; "
                    "enter a value in that range.",
                )
        return replace(self, seed=int(self.seed), neighbors=int(self.neighbors))


@dataclass(frozen=True)
class Axes:
    """Axes of a fitted PCA."""

    mean: np.ndarray
    """(D,) mean."""
    directions: np.ndarray
    """(dimensions, D) orthonormal axes; zero if the data spans fewer dimensions."""

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Project (N, D) vectors to (N, dimensions)."""
        return (vectors - self.mean) @ self.directions.T


@dataclass(frozen=True)
class Projection:
    """Positions of N points, and how they were computed."""

    coordinates: np.ndarray
    """(N, 2 or 3) float positions."""
    method: Method
    """The method actually used: the requested one or PCA as a fallback."""
    note: str
    """Why a fallback was used and what to do; empty otherwise."""
    fit: "Axes | str | None" = None
    """Used to place more points: PCA axes, or the key of a fit kept by the fitter; None for t-SNE."""
    placed: int = 0
    """Number of points that were placed into the fit, not fitted."""
    waiting: bool = False
    """Whether this is PCA shown while the fitter starts."""
    caution: str = ""
    """How the fit differs from the request to avoid spurious groups; empty if it does not differ."""


@dataclass(frozen=True)
class StageRows:
    """Links rows of one stage to those of the next, for one projection per stage."""

    stage: np.ndarray
    """(N,) stage names."""
    item: np.ndarray
    """(N,) integers, equal for the same class of the same image."""
    sequence: tuple[str, ...]
    """Names of the stages that occur, coarse to fine."""

    def of(self, kept: np.ndarray) -> "StageRows":
        """The subset for (M,) row indices, which must include every stage."""
        return StageRows(self.stage[kept], self.item[kept], self.sequence)


class FitFailedError(Exception):
    """The method failed on these points; the message is the reason."""


class Fitter(Protocol):
    """Fits UMAP and t-SNE; `UmapWorker` does so in a separate process."""

    def fit(
        self, vectors: np.ndarray, options: ProjectionOptions, rows: StageRows | None = None
    ) -> tuple[np.ndarray, str | None] | None:
        """Coordinates, and the key of the fit if it can place more points; None while the fitter starts.

        Args:
            rows: given for one projection per stage; None projects all points together.
        Raises:
            FitFailedError: the method failed on the points.
        """

    def place(self, key: str, vectors: np.ndarray, stage: np.ndarray | None = None) -> np.ndarray | None:
        """Coordinates in a fit; None if it is no longer kept.

        Args:
            stage: (N,) stage names, for one projection per stage.
        Raises:
            FitFailedError: the method failed on the points.
        """


def project(
    vectors: np.ndarray, options: ProjectionOptions, *, fitter: Fitter, rows: StageRows | None = None
) -> Projection:
    """Fit all points; falls back to PCA if the method cannot be used. Equal points (of the same stage, for one
    projection per stage) are fitted as one point and have the same position.

    Args:
        vectors: (N, D) vectors, N ≥ 0.
        rows: given for one projection per stage. PCA uses the axes of all points together in both cases.
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
    """Options with at least `LEAST_NEIGHBORS` neighbours, and a note if they differ from the request."""
    name, value = ("perplexity", options.perplexity) if options.method == "t-SNE" else ("neighbours", options.neighbors)
    if options.method == "PCA" or value >= LEAST_NEIGHBORS:
        return options, ""
    caution = (
        f"Fitted with {name} = {LEAST_NEIGHBORS} instead of {value:g}, because {options.method} shows spurious groups "
        "for smaller values."
    )
    if options.method == "t-SNE":
        return replace(options, perplexity=LEAST_NEIGHBORS), caution
    return replace(options, neighbors=LEAST_NEIGHBORS), caution


def _project_different(
    vectors: np.ndarray, options: ProjectionOptions, *, fitter: Fitter, rows: StageRows | None
) -> Projection:
    """As `project`, for distinct points."""
    count = len(vectors)
    if count < 3:
        return _pca(vectors, options, f"Too few points to compare ({count}). Add another photo.")
    if options.method == "PCA":
        return _pca(vectors, options, "")
    least = count if rows is None else min(np.count_nonzero(rows.stage == name) for name in rows.sequence)
    if least < MIN_POINTS:
        of_stage = "" if rows is None else " of each stage"
        need = f"{options.method} needs at least {MIN_POINTS} points{of_stage} but there are only {least}"
        return _pca(vectors, options, f"{need}. Showing PCA; add another photo.")
    try:
        fitted = fitter.fit(vectors, options, rows)
    except FitFailedError as error:
        return _pca(vectors, options, f"{options.method} failed ({error}). Showing PCA; try other parameters.")
    if fitted is None:
        note = f"{options.method} is still loading. Showing PCA until it is ready."
        return replace(_pca(vectors, options, note), waiting=True)
    coordinates, key = fitted
    return Projection(coordinates, options.method, "", key)


def place(
    projection: Projection, vectors: np.ndarray, *, fitter: Fitter, stage: np.ndarray | None = None
) -> np.ndarray | None:
    """(N, 2 or 3) positions of further (N, D) points in a fitted projection, or None if they cannot be placed.

    For one projection per stage, `stage` gives the (N,) stages of the points."""
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
    """PCA of (N, D) vectors, N ≥ 0. The sign of each axis makes its largest weight positive, for reproducible plots."""
    width = vectors.shape[1]
    mean = vectors.mean(0) if len(vectors) else np.zeros(width)
    directions = np.zeros((dimensions, width))
    if len(vectors) > 1:
        _, strengths, rows = np.linalg.svd(vectors.astype(np.float64) - mean, full_matrices=False)
        kept = rows[:dimensions][strengths[:dimensions] > 1e-9 * max(strengths[0], 1e-30)]
        largest = np.take_along_axis(kept, np.abs(kept).argmax(1)[:, None], axis=1)
        directions[: len(kept)] = kept * np.sign(largest)
    return Axes(mean, directions)
