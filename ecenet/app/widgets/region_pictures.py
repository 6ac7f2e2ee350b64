"""Small photos and label maps, from which the browser draws the region of a map point without the server."""

from typing import TypedDict

import numpy as np
from PIL import Image

from ecenet.app.widgets.markup import data_uri
from ecenet.data.images import thumbnail
from ecenet.inference.overlay import resize_labels
from ecenet.inference.prediction import Prediction

SIDE = 120
"""Longest side in pixels. A photo and its label maps take about 8 kB; 20 of them are smaller than the map's figure."""


class RegionPictures(TypedDict):
    """Input of `map/hover.js`."""

    photo: str
    """Data URI of a JPEG of (width, height)."""
    labels: str
    """Data URI of a greyscale PNG of class indices: the label maps of all stages, stacked vertically."""
    stages: list[str]
    """Stages in the order of the label maps."""


def region_pictures(prediction: Prediction) -> RegionPictures:
    """Region pictures of all stages with embeddings."""
    small = thumbnail(prediction.image, max_side=SIDE)
    stages = [name for name in prediction.stages if name != "final"]
    maps = [resize_labels(prediction.stages[name].label_map, size=small.size) for name in stages]
    return {
        "photo": data_uri(small, file_format="JPEG"),
        "labels": data_uri(Image.fromarray(np.concatenate(maps)), file_format="PNG"),
        "stages": stages,
    }
