"""Options of studies and comparisons, which the command line shows; made without heavy imports."""

from dataclasses import dataclass
from typing import Literal, get_args

from ecenet.analysis.interventions.painting import Pooling

Rivals = Literal["own", "rest", "both"]
"""Whom a painted class competes with. Ours: the weights' own classes; the rest of the painted photos, painted as one
more class, with the weights' own left out; or all of these."""
Decoder = Literal["ecenet", "deeplabv3plus", "fpn", "upernet"]
"""What is compared on the same backbone."""


@dataclass(frozen=True)
class WarningOptions:
    """What is measured."""

    judge: str | None = None
    """Stage whose masks are judged, whatever stage the embeddings are of; each stage's own masks by default."""
    without: tuple[str, ...] = ()
    """Classes to leave out."""
    min_area: float = 0.005
    """Look at classes that are predicted on more than this share of the image."""
    failed_below: float = 0.5
    """A mask whose IoU is less is a failure."""
    centroid_iou: float = 0.5
    """Centroids are those of masks with at least this IoU; 0 takes all."""
    resamples: int = 1000
    """Bootstrap samples of the images, for the 95 % intervals."""
    seed: int = 0


@dataclass(frozen=True)
class FewShotOptions:
    """What is measured."""

    classes: tuple[str, ...] = ()
    """Classes of the data to look for; all that the weights never saw by default."""
    shots: tuple[int, ...] = (1, 5, 10)
    """Numbers of painted photos."""
    draws: int = 3
    """How often the painted photos are drawn. The five of a draw are among its ten."""
    limit: int | None = None
    """Look for each class in so many photos only, evenly spread over those that hold it; all by default."""
    methods: tuple[Pooling, ...] = get_args(Pooling)
    """How painted regions become embeddings."""
    rivals: tuple[Rivals, ...] = ("own", "rest")
    """Whom a painted class competes with: the weights' own classes, the rest of the painted photos as a class, both."""
    stage: str = "final"
    """Whose masks tell where a painted class is."""
    prototypes: int = 3
    """Embeddings of a class at most, for the method of that name."""
    min_share: float = 0.01
    """Photos count as holding a class that makes up at least this share of their labelled pixels."""
    seed: int = 0
