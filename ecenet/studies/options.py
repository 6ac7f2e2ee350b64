"""Options of the studies. Without heavy imports, since the command line shows them."""

from dataclasses import dataclass
from typing import Literal, get_args

from ecenet.analysis.interventions.painting import Pooling

Rivals = Literal["own", "rest", "both"]
"""Classes that a painted class competes with (our choice): `own`, the classes of the weights; `rest`, the rest of the
painted photos as one class, without those of the weights; or `both`."""
Decoder = Literal["ecenet", "deeplabv3plus", "fpn", "upernet"]
"""Decoders that are compared on the same backbone."""


@dataclass(frozen=True)
class WarningOptions:
    """Options of `consistency`."""

    judge: str | None = None
    """Stage whose masks are evaluated for the embeddings of all stages; by default each stage's own masks."""
    without: tuple[str, ...] = ()
    """Classes to exclude."""
    min_area: float = 0.005
    """Minimum area of a predicted class as a share of the image."""
    failed_below: float = 0.5
    """Masks below this IoU are failures."""
    centroid_iou: float = 0.5
    """Compute centroids from masks with at least this IoU; 0 uses all."""
    resamples: int = 1000
    """Number of bootstrap samples of the images for the 95 % intervals."""
    seed: int = 0


@dataclass(frozen=True)
class FewShotOptions:
    """Options of `fewshot`."""

    classes: tuple[str, ...] = ()
    """Classes of the data to search for; by default all that the weights were not trained on."""
    shots: tuple[int, ...] = (1, 5, 10)
    """Numbers of painted photos."""
    draws: int = 3
    """Number of random draws of the painted photos. Within a draw, smaller sets are subsets of larger ones."""
    limit: int | None = None
    """Search each class in at most N of the photos that contain it, evenly spread; all by default."""
    methods: tuple[Pooling, ...] = get_args(Pooling)
    """Methods to compute embeddings from painted regions."""
    rivals: tuple[Rivals, ...] = ("own", "rest")
    """Classes that a painted class competes with: those of the weights (own), the rest of the painted photos as one
    class (rest), or both."""
    stage: str = "final"
    """Stage whose masks are evaluated."""
    prototypes: int = 3
    """Maximum number of embeddings of a class for the method `prototypes`."""
    min_share: float = 0.01
    """Minimum share of a photo's labelled pixels for the photo to count as containing a class."""
    seed: int = 0
