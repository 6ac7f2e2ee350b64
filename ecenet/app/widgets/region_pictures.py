"""What a browser draws the region behind a point of the map from, without asking the server: a small photo and small
label maps of its stages."""

from typing import TypedDict

import numpy as np
from PIL import Image

from ecenet.app.widgets.markup import data_uri
from ecenet.data.images import thumbnail
from ecenet.inference.overlay import resize_labels
from ecenet.inference.prediction import Prediction

SIDE = 120
"""Longest side in pixels: a photo and all its label maps take some 8 kB, 20 of them less than a map's figure."""


class RegionPictures(TypedDict):
    """As `map/hover.js` takes it."""

    photo: str
    """Address of a JPEG (width, height)."""
    labels: str
    """Address of a grey PNG, whose values are class indices: the label maps of all stages, one below the other."""
    stages: list[str]
    """In the order of the label maps."""


def region_pictures(prediction: Prediction) -> RegionPictures:
    """Of every stage that makes embeddings."""
    small = thumbnail(prediction.image, max_side=SIDE)
    stages = [name for name in prediction.stages if name != "final"]
    maps = [resize_labels(prediction.stages[name].label_map, size=small.size) for name in stages]
    return {
        "photo": data_uri(small, file_format="JPEG"),
        "labels": data_uri(Image.fromarray(np.concatenate(maps)), file_format="PNG"),
        "stages": stages,
    }
