"""A class of what a user has painted, by whichever method: what the button "Make it a class" and the API call. Ours."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ecenet.analysis.interventions.backbone_class import paint_backbone_class
from ecenet.analysis.interventions.painted_class import BACKBONE, PAINTED_COLORS, PaintedClass
from ecenet.analysis.interventions.painting import Pooling, paint_class
from ecenet.inference.prediction import ImageFeatures
from ecenet.inference.predictor import Predictor


def make_class(
    predictor: Predictor,
    regions: Sequence[tuple[ImageFeatures, np.ndarray]],
    *,
    name: str,
    method: Pooling | Literal["backbone"],
    prototypes: int,
) -> PaintedClass:
    """`paint_class` or `paint_backbone_class`, as the method says; arguments and errors as for these.

    What surrounds the name is cut off, and the colour is the first of `PAINTED_COLORS`: `with_class` gives another one
    where it is taken.
    """
    name, color = name.strip(), PAINTED_COLORS[0]
    if method == BACKBONE:
        return paint_backbone_class(regions, name=name, color=color, weights_hash=predictor.weights_hash)
    return paint_class(
        predictor,
        regions,
        name=name,
        color=color,
        method=method,
        prototypes=prototypes,
    )
