"""Upsampling from the grid of a stage to the pixels of a photo."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ecenet.model.ecenet import resize
from ecenet.model.layers.attention_to_mask import combined_masks
from ecenet.model.outputs import StageOutput

MAX_DETAIL_SIDE = 1600
"""Longest side up to which masks are computed; larger ones are repeated pixels, since the grid is much coarser."""
BAND_VALUES = 2**18
"""Number of logits computed at a time on a CPU, so that they fit into its cache."""
MIN_BAND = 16
"""Minimum number of rows at a time; fewer are slower."""
NEAR = 3.5
"""Maximum distance to the highest logit of a cell, over the temperature, for a class to be compared."""


def detail_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) at which masks are computed for an image of (width, height): at most
    `MAX_DETAIL_SIDE`."""
    factor = min(1.0, MAX_DETAIL_SIDE / max(size))
    return max(1, round(size[1] * factor)), max(1, round(size[0] * factor))


def repeat_to(detail: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (h, w) at `detail_size` to the image's (width, height) by repeating pixels; returns the input if equal."""
    width, height = size
    if detail.shape == (height, width):
        return detail
    rows = np.arange(height) * detail.shape[0] // height
    columns = np.arange(width) * detail.shape[1] // width
    return detail[rows[:, None], columns]


def enlarged_logits(stage: StageOutput, size: tuple[int, int]) -> Tensor:
    """Return the logits of a stage resized bilinearly, (B, K, *size) float32. For SegViT, the masks are resized and
    then combined, as by its authors."""
    if stage.masks is None or stage.class_shares is None:
        return resize(stage.mask_logits.float(), size)
    return combined_masks(stage.class_shares, resize(stage.masks.float(), size))


def classify_pixels(
    logits: Tensor, size: tuple[int, int], *, class_shares: Tensor | None = None, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Classify every pixel by bilinearly interpolated logits.

    Args:
        logits: (K, h, w), or (Q, h, w) masks that are combined after resizing if `class_shares` is given.
        size: (H, W).
        class_shares: (Q, K), as in `StageOutput`.
        temperature: divisor of the logits for the confidences; the classes do not depend on it.
    Returns: (H, W) uint8 class indices, and (H, W) float32 confidences 0 … 1, the highest probability of a softmax.
    """
    logits = logits.float()
    if logits.device.type != "cpu":
        return _most_probable(_combined(resize(logits[None], size)[0].clone(), class_shares), temperature)
    if class_shares is None:
        return _most_probable_of_few(logits, size, temperature=temperature)
    labels, confidence = torch.empty(size, dtype=torch.uint8), torch.empty(size)
    for rows, _, band in _bands(logits, size):
        labels[rows], confidence[rows] = _most_probable(_combined(band, class_shares), temperature)
    return labels, confidence


def _most_probable_of_few(logits: Tensor, size: tuple[int, int], *, temperature: float) -> tuple[Tensor, Tensor]:
    """Do the same as `classify_pixels`, but compare only the few classes that are near the highest logit anywhere.

    The highest logit of each cell is subtracted from all of its classes, which does not change the softmax, in cells or
    between them. Interpolated values are then at most 0, and rarely far below 0 for the class of a pixel.
    """
    relative = (logits - logits.amax(dim=0)).div_(temperature)
    # Likely classes first; each band compares the classes up to its last one near the maximum.
    order = relative.amax(dim=(1, 2)).argsort(descending=True, stable=True)
    relative = relative[order]
    near = relative.amax(dim=2) > -NEAR
    # `max` with indices takes several times as long as searching the first class with the highest share.
    countdown = torch.arange(len(order), 0, -1, dtype=torch.float32)[:, None, None]
    labels, confidence = torch.empty(size, dtype=torch.uint8), torch.empty(size)
    for rows, cells, band in _bands(relative, size):
        likely = 1 + int(near[:, cells].any(dim=1).nonzero()[-1])
        if band[:likely].amax(dim=0).min() <= -NEAR:  # an omitted class may be higher
            labels[rows], confidence[rows] = _most_probable(band, 1.0)
            continue
        shares = band.exp_()
        total, candidates = shares.sum(dim=0), shares[:likely]
        highest = candidates.amax(dim=0)
        confidence[rows] = highest / total
        labels[rows] = len(order) - candidates.eq_(highest).mul_(countdown[:likely]).amax(dim=0)
    return order.to(torch.uint8).take(labels.long()), confidence


def _bands(maps: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, slice, Tensor]]:
    """Resize (K, h, w) bilinearly, a few rows at a time in the same memory. The logits of all classes for a whole photo
    would take tens to hundreds of megabytes, and twice as long.

    Yields: rows of pixels, the rows of cells that they depend on, and (K, rows, W), which is overwritten by the next
        band.
    """
    height, width = size
    across = resize(maps[None].contiguous(), (maps.shape[1], width))[0]
    weights = bilinear_weights(maps.shape[1], height)
    used = weights > 0
    # First and last row of cells that each row of pixels depends on.
    first, last = used.int().argmax(dim=1).tolist(), used.cumsum(dim=1).argmax(dim=1).tolist()
    step = max(MIN_BAND, BAND_VALUES // (len(maps) * width))
    memory = torch.empty(len(maps), step, width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        cells = slice(first[top], last[bottom - 1] + 1)
        band = torch.matmul(weights[top:bottom, cells], across[:, cells], out=memory[:, : bottom - top])
        yield slice(top, bottom), cells, band


def bilinear_weights(cells: int, pixels: int) -> Tensor:
    """Return the (pixels, cells) interpolation weights along one side of a grid; applied to both sides, they are
    `resize`."""
    return resize(torch.eye(cells)[None, None], (pixels, cells))[0, 0]


def _combined(logits: Tensor, class_shares: Tensor | None) -> Tensor:
    """Return (K, H, W) logits unchanged, or combine (Q, H, W) masks with (Q, K) shares to (K, H, W)."""
    return logits if class_shares is None else combined_masks(class_shares[None], logits[None])[0]


def _most_probable(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return classes, (H, W) uint8, and confidences, (H, W), from (K, H, W) logits, which are overwritten."""
    top, labels = logits.max(dim=0)
    below = logits.sub_(top)
    if temperature != 1:
        below.div_(temperature)
    # Takes a third of the time of logsumexp.
    return labels.to(torch.uint8), below.exp_().sum(dim=0).reciprocal_()
