"""What clients send and get, as types: Gradio makes the API page and MCP's schemas of them.

Areas and confidences are shares, 0 … 1; what has no number is null.
"""

from typing import Literal, TypedDict

from gradio.data_classes import FileData
from pydantic import ConfigDict, with_config

# Of what clients send; pydantic takes the standard library's from Python 3.12 on.
from typing_extensions import Required
from typing_extensions import TypedDict as CheckedDict

from ecenet.analysis.diagnostics.comparison import StageReport
from ecenet.analysis.interventions.mask_edits import Action
from ecenet.app.uploads.files import Upload
from ecenet.inference.export import Summary

STRICT = with_config(ConfigDict(extra="forbid"))
"""A key that nobody knows is a mistake."""


class About(TypedDict):
    """What an answer was made with."""

    weights: str
    weights_hash: str


class SegmentReport(About, Summary):
    stage: str
    label_map: FileData
    coco: list[dict[str, object]] | None


class MatchPlace(TypedDict):
    """The most similar pixel of one photo; cosine in −1 … 1, or, for a class embedding, the mask logit as score."""

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
"""Where one class's embedding lies; cosine distances."""


class Warned(TypedDict):
    """How the warning fared on photos that the weights were not trained on: below which confidence it warns, the share
    of warnings that were right, and of wrong masks that it warned of."""

    threshold: float
    precision: float
    recall: float


class ConsistencyReport(About):
    stage: str
    reference_photos: int
    warning: Warned | None
    classes: list[ClassPlace]


class CurveReport(TypedDict):
    """`shares` of the cells, and the class's mean probability at each; areas are those under the curves."""

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
"""`Method`, and a class that the backbone's features find."""


@STRICT
class Example(CheckedDict, total=False):
    """A painted region; of the photo itself where no other is given."""

    region: Required[Upload]
    photo: Upload


@STRICT
class MaskEdit(CheckedDict, total=False):
    """A change of one stage's mask."""

    stage: Required[str]
    action: Required[Action]
    class_name: str
    other: str
    region: Upload
    label_map: Upload


@STRICT
class Move(CheckedDict, total=False):
    """A class embedding of another photo; `into` is the same class, and `t` 1, where they are not given."""

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
