"""Make a class from painted regions with any method, for the button "Make it a class" and the API. Not from the
paper."""

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
    """Call `paint_class` or `paint_backbone_class`, depending on the method; arguments and errors as for these.

    Whitespace around the name is removed. The colour is the first of `PAINTED_COLORS`; `with_class` changes it if it is
    in use.
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
