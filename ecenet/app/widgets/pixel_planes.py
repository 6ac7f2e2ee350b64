"""What a browser gets to know of every pixel, so that pointing at a photo asks no server: arrays in, one PNG out."""

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
"""Longest side in pixels of what is sent; of a larger photo, pixels are picked evenly. Ours: it bounds the page."""
SMALL_SIDE = 160
"""Longest side in pixels of a filmstrip's pictures."""
TOP = 3
"""Classes known for each pixel."""
ABSENT = 255
"""Index of a class that the model has not, where it has fewer than `TOP`."""
PLANES = 2 * TOP + 1
ROWS_AT_ONCE = 64
"""Rows of a thousand pixels and some ten classes, which a processor's cache holds."""
CLASS_BITS = 0xFF


class StagePictures(NamedTuple):
    """What a page shows of one stage, as addresses that hold the pictures themselves."""

    planes: str
    """`stage_planes`."""
    mask: str
    """Class colours at the photo's own size."""
    small_mask: str


def stage_pictures(prediction: Prediction) -> dict[str, StagePictures]:
    """Of every stage, coarse to fine."""
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
    """Indices of the pixels that stand for a side of `length` pixels, in a photo whose longest side is `longest`."""
    count = max(1, round(length * min(1.0, MAX_SIDE / longest)))
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def stage_planes(stage: StagePrediction) -> np.ndarray:
    """What one stage says of every sampled pixel.

    The first class is the label map's; the others follow by probability, which is the softmax over the classes of the
    bilinearly resized mask logits, divided by the temperature.

    Returns:
        (7, h, w) uint8: three class indices, best first (`ABSENT` where there is none); in whole percent, which is what
        people read and a third less to send than 255 steps, their probabilities and the entropy over all classes, of
        the largest that there can be.
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
    """(n, h, w) uint8 → a grey PNG of (n·h, w), the planes below each other, inside its own address."""
    buffer = io.BytesIO()
    # After PNG's own filters, runs are nearly all there is to gain: half the time of the default, and no larger.
    picture = Image.fromarray(planes.reshape(-1, planes.shape[2]))
    picture.save(buffer, format="PNG", compress_type=zlib.Z_RLE)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _planes_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, h, w) float32 logits and (h, w) first classes → (7, h, w) uint8."""
    logits = logits - logits.max(axis=0)
    weights = np.exp(logits)
    total = weights.sum(axis=0)
    entropy = np.log(total) - (weights * logits).sum(axis=0) / total

    # A positive float's bits, read as an integer, keep its order. With the class in the lowest eight of them, which are
    # far below what is shown, the largest number names its class: several times faster than sorting.
    numbers = np.arange(1, len(logits) + 1, dtype=np.int32)[:, None, None]
    keys = (weights.view(np.int32) & ~CLASS_BITS) | numbers
    first = numbers == labels + np.int32(1)
    ranked = [np.where(first, keys, 0).max(axis=0)]
    keys[first] = 0
    for _ in range(TOP - 1):
        ranked.append(keys.max(axis=0))
        keys[keys == ranked[-1]] = 0
    best = np.stack(ranked)
    classes = (best & CLASS_BITS) - 1  # no class is left: −1, which is 255 as a byte
    probabilities = (best & ~CLASS_BITS).view(np.float32) / total
    shares = np.concatenate([probabilities, entropy[None] / math.log(max(2, len(logits)))])
    return np.concatenate([classes.astype(np.uint8), np.rint(100 * shares.clip(0, 1)).astype(np.uint8)])
