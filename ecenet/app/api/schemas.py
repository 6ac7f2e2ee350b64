"""Types of requests and responses, from which Gradio generates the API page and the MCP schemas.

Areas and confidences are shares, 0 … 1. Missing numbers are null.
"""

from typing import Literal, TypedDict

from gradio.data_classes import FileData
from pydantic import ConfigDict, with_config

# For requests. Pydantic accepts the standard library's TypedDict only from Python 3.12 on.
from typing_extensions import Required
from typing_extensions import TypedDict as CheckedDict

from ecenet.analysis.diagnostics.comparison import StageReport
from ecenet.analysis.interventions.mask_edits import Action
from ecenet.app.uploads.files import Upload
from ecenet.inference.export import Summary

STRICT = with_config(ConfigDict(extra="forbid"))
"""Rejects unknown keys."""


class About(TypedDict):
    """The weights that a response was computed with."""

    weights: str
    weights_hash: str


class SegmentReport(About, Summary):
    stage: str
    label_map: FileData
    coco: list[dict[str, object]] | None


class MatchPlace(TypedDict):
    """The most similar pixel of a photo; cosine in −1 … 1, or the mask logit as score for a class embedding."""

    x: int
    y: int
    cosine: float | None
    score: float | None


class MatchReport(About):
    level: str
    matches: list[MatchPlace]
    arrays: FileData


SimilarityReport = TypedDict(
    "SimilarityReport",
    {
        "weights": str,
        "weights_hash": str,
        "class": str,
        "low": float,
        "high": float,
        "maps": dict[str, FileData],
        "arrays": FileData,
        "overwritten": dict[str, float],
    },
)


class EmbedReport(About):
    photos: list[str]
    rows: int
    table: FileData


ClassPlace = TypedDict(
    "ClassPlace",
    {
        "class": str,
        "area": float,
        "confidence": float | None,
        "warned": bool,
        "distance": float | None,
        "rival": str | None,
        "rival_distance": float | None,
        "margin": float | None,
    },
)
"""Distances of the embedding of one class; all are cosine distances."""


class Warned(TypedDict):
    """The warning's confidence threshold, and its precision and recall on photos that the weights were not trained
    on."""

    threshold: float
    precision: float
    recall: float


class ConsistencyReport(About):
    stage: str
    reference_photos: int
    warning: Warned | None
    classes: list[ClassPlace]


class CurveReport(TypedDict):
    """A curve: `shares` of the cells, the mean probability of the class at each share, and the area under the curve."""

    area: float
    random_area: float
    passed: bool
    shares: list[float]
    scores: list[float]
    random_scores: list[float]


class Correlation(TypedDict):
    correlation: float | None
    passed: bool


FaithfulnessReport = TypedDict(
    "FaithfulnessReport",
    {
        "weights": str,
        "weights_hash": str,
        "class": str,
        "stage": str,
        "insertion": CurveReport,
        "deletion": CurveReport,
        "random_heads": Correlation,
    },
)


Pooling = Literal["mean", "pyramid", "prototypes", "backbone"]
"""Pooling methods of embeddings, and a class defined by backbone features."""


@STRICT
class Example(CheckedDict, total=False):
    """A painted region, by default of the photo itself."""

    region: Required[Upload]
    photo: Upload


@STRICT
class MaskEdit(CheckedDict, total=False):
    """A change of the mask of one stage."""

    stage: Required[str]
    action: Required[Action]
    class_name: str
    other: str
    region: Upload
    label_map: Upload


@STRICT
class Move(CheckedDict, total=False):
    """A transplant of a class embedding from another photo. By default, `into` is the same class and `t` is 1."""

    photo: Required[Upload]
    class_name: Required[str]
    into: str
    t: float


class WhatIfReport(About):
    class_names: list[str]
    stages: list[StageReport]
    enlarged: bool
    label_map: FileData
    overlay_before: FileData
    overlay_after: FileData
    arrays: FileData
    low: float | None
    high: float | None
    maps: dict[str, FileData]
    painted_class: FileData | None
