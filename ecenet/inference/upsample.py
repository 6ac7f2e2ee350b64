"""From a stage's grid to the pixels of a photo."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ecenet.model.ecenet import resize
from ecenet.model.layers.attention_to_mask import combined_masks
from ecenet.model.outputs import StageOutput

MAX_DETAIL_SIDE = 1600
"""Masks are computed up to this side and repeated beyond it: their grid is far coarser anyway."""
BAND_VALUES = 2**18
"""Logits that are worked out at a time on a CPU: so many stay in its cache."""
MIN_BAND = 16
"""Rows, however many classes: less is slower again."""
NEAR = 3.5
"""How far below the highest of every cell a class may lie to be compared, in logits over the temperature."""


def detail_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of an image → (height, width) that its masks are computed at: its own up to `MAX_DETAIL_SIDE`."""
    factor = min(1.0, MAX_DETAIL_SIDE / max(size))
    return max(1, round(size[1] * factor)), max(1, round(size[0] * factor))


def repeat_to(detail: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) at `detail_size` → (H, W) at the image's (width, height) by repeating; itself where nothing changes."""
    width, height = size
    if detail.shape == (height, width):
        return detail
    rows = np.arange(height) * detail.shape[0] // height
    columns = np.arange(width) * detail.shape[1] // width
    return detail[rows[:, None], columns]


def enlarged_logits(stage: StageOutput, size: tuple[int, int]) -> Tensor:
    """A stage's prediction for every pixel: its logits brought to a size bilinearly, or, of SegViT, its masks, which
    are combined there as its authors do. Returns: (B, K, *size) float32."""
    if stage.masks is None or stage.class_shares is None:
        return resize(stage.mask_logits.float(), size)
    return combined_masks(stage.class_shares, resize(stage.masks.float(), size))


def classify_pixels(
    logits: Tensor, size: tuple[int, int], *, class_shares: Tensor | None = None, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The most probable class of every pixel, where logits are interpolated bilinearly.

    Args:
        logits: (K, h, w), or with `class_shares` (Q, h, w), of masks that are combined where they are enlarged.
        size: (H, W).
        class_shares: (Q, K), as `StageOutput` has them.
        temperature: what logits are divided by for the confidences; the classes do not depend on it.
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
    """`classify_pixels` where few of many classes come near the highest anywhere: only these are compared.

    The highest logit of each cell is taken off all of its classes, which changes no softmax, there or between cells.
    What is interpolated is then 0 at most, and hardly ever far below 0 for a pixel's class.
    """
    relative = (logits - logits.amax(dim=0)).div_(temperature)
    # The likely classes first: in each band, those up to the last one that comes near.
    order = relative.amax(dim=(1, 2)).argsort(descending=True, stable=True)
    relative = relative[order]
    near = relative.amax(dim=2) > -NEAR
    # `max` with its indices takes several times as long as to look for the first class that has the highest share.
    countdown = torch.arange(len(order), 0, -1, dtype=torch.float32)[:, None, None]
    labels, confidence = torch.empty(size, dtype=torch.uint8), torch.empty(size)
    for rows, cells, band in _bands(relative, size):
        likely = 1 + int(near[:, cells].any(dim=1).nonzero()[-1])
        if band[:likely].amax(dim=0).min() <= -NEAR:  # a class that is not compared may be higher
            labels[rows], confidence[rows] = _most_probable(band, 1.0)
            continue
        shares = band.exp_()
        total, candidates = shares.sum(dim=0), shares[:likely]
        highest = candidates.amax(dim=0)
        confidence[rows] = highest / total
        labels[rows] = len(order) - candidates.eq_(highest).mul_(countdown[:likely]).amax(dim=0)
    return order.to(torch.uint8).take(labels.long()), confidence


def _bands(maps: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, slice, Tensor]]:
    """(K, h, w) brought to a size bilinearly, a few rows of pixels at a time in the same memory: a whole photo's logits
    of all classes would be tens to hundreds of megabytes, and take twice as long.

    Yields: which rows of pixels, which rows of cells they lie between, and (K, rows, W), to be used up before the next
        ones are asked for.
    """
    height, width = size
    across = resize(maps[None].contiguous(), (maps.shape[1], width))[0]
    weights = bilinear_weights(maps.shape[1], height)
    used = weights > 0
    # Of the rows of cells that each row of pixels lies between.
    first, last = used.int().argmax(dim=1).tolist(), used.cumsum(dim=1).argmax(dim=1).tolist()
    step = max(MIN_BAND, BAND_VALUES // (len(maps) * width))
    memory = torch.empty(len(maps), step, width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        cells = slice(first[top], last[bottom - 1] + 1)
        band = torch.matmul(weights[top:bottom, cells], across[:, cells], out=memory[:, : bottom - top])
        yield slice(top, bottom), cells, band


def bilinear_weights(cells: int, pixels: int) -> Tensor:
    """(pixels, cells): what each cell along one side of a grid gives to each pixel; applied to both sides, it is
    `resize`."""
    return resize(torch.eye(cells)[None, None], (pixels, cells))[0, 0]


def _combined(logits: Tensor, class_shares: Tensor | None) -> Tensor:
    """(K, H, W) itself, or (Q, H, W) masks and (Q, K) shares → (K, H, W)."""
    return logits if class_shares is None else combined_masks(class_shares[None], logits[None])[0]


def _most_probable(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(K, H, W), which it overwrites → (H, W) uint8 and (H, W)."""
    top, labels = logits.max(dim=0)
    below = logits.sub_(top)
    if temperature != 1:
        below.div_(temperature)
    # A third of the time that logsumexp takes.
    return labels.to(torch.uint8), below.exp_().sum(dim=0).reciprocal_()
