"""Class probabilities of every pixel for the browser's tooltip, encoded as a PNG, so that hovering needs no request."""

import base64
import io
import math
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from ecenet.app.widgets.markup import data_uri
from ecenet.inference.overlay import indexed_mask
from ecenet.inference.prediction import Prediction, StagePrediction
from ecenet.inference.upsample import bilinear_weights

MAX_SIDE = 512
"""Longest side in pixels of the planes; larger photos are subsampled evenly. Our choice: it limits the page's size."""
SMALL_SIDE = 160
"""Longest side in pixels of the pictures of the filmstrip."""
TOP = 3
"""Number of classes stored for each pixel."""
ABSENT = 255
"""Class index that fills the planes if the model has fewer than `TOP` classes."""
PLANES = 2 * TOP + 1
ROWS_AT_ONCE = 64
"""Rows processed at once, so that they fit into the processor's cache."""
CLASS_BITS = 0xFF


class StagePictures(NamedTuple):
    """The pictures of one stage as data URIs."""

    planes: str
    """See `stage_planes`."""
    mask: str
    """The mask in class colours at the photo's size."""
    small_mask: str


def stage_pictures(prediction: Prediction) -> dict[str, StagePictures]:
    """Draw the pictures of every stage, coarse to fine."""
    pictures = {}
    for name, stage in prediction.stages.items():
        mask = indexed_mask(stage.label_map, prediction.class_colors)
        small = mask.copy()
        small.thumbnail((SMALL_SIDE, SMALL_SIDE), Image.Resampling.NEAREST)
        pictures[name] = StagePictures(
            planes_uri(stage_planes(stage)), data_uri(mask, file_format="PNG"), data_uri(small, file_format="PNG")
        )
    return pictures


def sampled(length: int, *, longest: int) -> np.ndarray:
    """Return indices of the sampled pixels along a side of `length` pixels; the photo's longest side is `longest`."""
    count = max(1, round(length * min(1.0, MAX_SIDE / longest)))
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def stage_planes(stage: StagePrediction) -> np.ndarray:
    """Compute the top classes, their probabilities and the entropy of every sampled pixel at one stage.

    The first class is that of the label map; the others are sorted by probability. Probabilities are the softmax over
    the classes of the bilinearly resized mask logits, divided by the temperature.

    Returns:
        (7, h, w) uint8: three class indices, best first (`ABSENT` if the model has fewer classes), their probabilities
        in percent, and the entropy over all classes in percent of its maximum. Whole percents are displayed and
        compress a third better than 255 steps.
    """
    logits = stage.confidence_logits
    height, width = stage.label_map.shape
    rows, columns = (sampled(side, longest=max(height, width)) for side in (height, width))
    labels = stage.label_map[rows[:, None], columns]
    down = bilinear_weights(logits.shape[1], height).numpy()[rows]
    across = np.ascontiguousarray(bilinear_weights(logits.shape[2], width).numpy()[columns].T)
    planes = np.empty((PLANES, len(rows), len(columns)), dtype=np.uint8)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        planes[:, part] = _planes_of(down[part] @ logits @ across, labels[part])
    return planes


def planes_uri(planes: np.ndarray) -> str:
    """Encode planes, (n, h, w) uint8, one below the other, as the data URI of a greyscale PNG of size (n·h, w)."""
    buffer = io.BytesIO()
    # After PNG's filters, run-length encoding is as small as the default compression and takes half the time.
    picture = Image.fromarray(planes.reshape(-1, planes.shape[2]))
    picture.save(buffer, format="PNG", compress_type=zlib.Z_RLE)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _planes_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute planes, (7, h, w) uint8, from (K, h, w) float32 logits and the (h, w) first classes."""
    logits = logits - logits.max(axis=0)
    weights = np.exp(logits)
    total = weights.sum(axis=0)
    entropy = np.log(total) - (weights * logits).sum(axis=0) / total

    # The bits of positive floats, read as integers, have the same order. The lowest eight bits, which are far below the
    # displayed precision, are replaced by the class, so a maximum yields its class: several times faster than sorting.
    numbers = np.arange(1, len(logits) + 1, dtype=np.int32)[:, None, None]
    keys = (weights.view(np.int32) & ~CLASS_BITS) | numbers
    first = numbers == labels + np.int32(1)
    ranked = [np.where(first, keys, 0).max(axis=0)]
    keys[first] = 0
    for _ in range(TOP - 1):
        ranked.append(keys.max(axis=0))
        keys[keys == ranked[-1]] = 0
    best = np.stack(ranked)
    classes = (best & CLASS_BITS) - 1  # no class is left: −1, that is 255 as a byte
    probabilities = (best & ~CLASS_BITS).view(np.float32) / total
    shares = np.concatenate([probabilities, entropy[None] / math.log(max(2, len(logits)))])
    return np.concatenate([classes.astype(np.uint8), np.rint(100 * shares.clip(0, 1)).astype(np.uint8)])
