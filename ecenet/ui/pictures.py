"""Small pictures that several tabs show."""

import numpy as np

from ecenet.images import thumbnail
from ecenet.overlay import heat_colors, overlay, resize_labels
from ecenet.prediction import Prediction, StagePrediction
from ecenet.ui.html import color_swatch, data_uri, escape

SAME, DIFFERENT = (heat_colors(np.array(value), low=0, high=1).tolist() for value in (0, 1))


def masked_photo(prediction: Prediction, stage: StagePrediction, *, max_side: int) -> str:
    """The photo under a stage's mask, as an address."""
    image = thumbnail(prediction.image, max_side=max_side)
    labels = resize_labels(stage.label_map, size=image.size)
    return data_uri(overlay(image, labels, prediction.class_colors), file_format="JPEG")


def changed_photo(prediction: Prediction, changed: np.ndarray, *, max_side: int) -> str:
    """Which pixels, (H, W) bool, are of another class, over the faded photo, as an address."""
    image = thumbnail(prediction.image, max_side=max_side)
    marks = resize_labels(changed.astype(np.uint8), size=image.size)
    return data_uri(
        overlay(image.convert("L").convert("RGB"), marks, [SAME, DIFFERENT], opacity=0.65), file_format="JPEG"
    )


def difference_legend(word: str) -> str:
    return f"{color_swatch(DIFFERENT)}{escape(word)} {color_swatch(SAME)}the same"


def figure(source: str, *, alt: str, caption: str) -> str:
    """A picture and a line below it; the caption is HTML already."""
    picture = f'<img src="{source}" alt="{escape(alt)}">'
    return f'<figure class="ece-figure">{picture}<figcaption>{caption}</figcaption></figure>'
