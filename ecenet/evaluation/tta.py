"""Test-time averaging: the mean opinion of one model on an image at several sizes, mirrored, and window by window."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.data.images import ImageSource, load_image
from ecenet.inference.predictor import Predictor
from ecenet.inference.upsample import detail_size, enlarged_logits, repeat_to
from ecenet.model.ecenet import resize
from ecenet.model.outputs import ECENetOutput

MAX_SCALE = 4.0
"""Largest multiple of the working size: beyond it a slip, such as 75 for 0.75, takes all memory."""


@dataclass(frozen=True)
class Averaging:
    """Which looks at an image are averaged; the defaults are the one look of `Predictor.predict`."""

    scales: tuple[float, ...] = (1.0,)
    """Multiples of the predictor's working size."""
    flip: bool = False
    """Look at the mirrored image as well."""
    window: int | None = None
    """Side in pixels, at working size, of windows that overlap by half; None looks at the whole image at once."""

    def check(self, predictor: Predictor) -> None:
        """Refuse what this predictor cannot do.

        Raises:
            UserError: no scale, one out of range, or a window that the backbone's stride does not divide.
        """
        bad = [scale for scale in self.scales if not 0 < scale <= MAX_SCALE]
        if bad or not self.scales:
            raise UserError(
                "out-of-range",
                f"Expected scales above 0 and up to {MAX_SCALE:g}, got {bad[0] if bad else 'none'}; "
                "choose numbers around 1, such as 0.75 1 1.25.",
            )
        divisor = predictor.model.backbone.size_divisor
        if self.window is not None and (self.window < divisor or self.window % divisor):
            below = max(1, self.window // divisor) * divisor
            fitting = f"{below}" if self.window < divisor else f"{below} or {below + divisor}"
            raise UserError(
                "out-of-range",
                f"Expected a window of {divisor} pixels or a multiple of it, as this backbone needs, "
                f"got {self.window}; {fitting} would fit.",
            )


@torch.inference_mode()
def averaged_probabilities(
    predictor: Predictor,
    source: ImageSource,
    *,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    window: int | None = None,
) -> dict[str, Tensor]:
    """Mean over scales and mirrored images of every stage's softmax; arguments as for `Averaging`.

    Without arguments the most probable classes are the label maps of `Predictor.predict`. Averaging probabilities over
    scales and mirror images is common practice, no part of ECENet.

    Returns: stage → (K, H, W) float32 on the predictor's device, at the image's own size up to `MAX_DETAIL_SIDE`.
    Raises:
        UserError: the source is no usable image, or an argument is out of range.
    """
    Averaging(scales, flip, window).check(predictor)
    image = load_image(source, max_pixels=predictor.max_pixels)
    size = detail_size(image.size)
    means: dict[str, Tensor] = {}
    looks = list(product(scales, (False, True) if flip else (False,)))
    for scale, mirrored in looks:
        seen = predictor.working_image(image, scale=scale)
        if mirrored:
            seen = seen.flip(-1)
        for name, probabilities in _look(predictor, seen, window=window, size=size):
            share = (probabilities.flip(-1) if mirrored else probabilities).div_(len(looks))
            means[name] = means[name].add_(share) if name in means else share
    return means


def averaged_label_maps(predictor: Predictor, source: ImageSource, averaging: Averaging) -> dict[str, np.ndarray]:
    """Stage → (H, W) uint8, the classes that are the most probable on average; errors as for the probabilities."""
    image = load_image(source, max_pixels=predictor.max_pixels)
    means = averaged_probabilities(
        predictor, image, scales=averaging.scales, flip=averaging.flip, window=averaging.window
    )
    return {
        name: repeat_to(mean.argmax(dim=0).to(torch.uint8).cpu().numpy(), image.size) for name, mean in means.items()
    }


def _look(
    predictor: Predictor, images: Tensor, *, window: int | None, size: tuple[int, int]
) -> Iterator[tuple[str, Tensor]]:
    """(1, 3, h, w) → (K, *size) probabilities of one stage after the other: of many classes, few maps fit in memory."""
    height, width = images.shape[-2:]
    if window is not None and window < max(height, width):
        yield from _look_through_windows(predictor, images, window=window, size=size)
        return
    with predictor.autocast():
        output: ECENetOutput = predictor.model(images)
    for name, stage in output.stages.items():
        yield name, (enlarged_logits(stage, size)[0] / predictor.model.temperature).softmax(dim=0)


def _look_through_windows(
    predictor: Predictor, images: Tensor, *, window: int, size: tuple[int, int]
) -> Iterator[tuple[str, Tensor]]:
    """As `_look`: averaged over the windows at working size, then resized."""
    height, width = images.shape[-2:]
    sums: dict[str, Tensor] = {}
    windows = images.new_zeros(height, width)
    for top, left in product(_starts(height, window), _starts(width, window)):
        rows, columns = slice(top, top + window), slice(left, left + window)
        part = images[..., rows, columns].contiguous(memory_format=torch.channels_last)
        windows[rows, columns] += 1
        for name, probabilities in _look(predictor, part, window=None, size=(part.shape[-2], part.shape[-1])):
            if name not in sums:
                sums[name] = probabilities.new_zeros(len(probabilities), height, width)
            sums[name][:, rows, columns] += probabilities
    for name, total in sums.items():
        yield name, resize((total / windows)[None], size)[0]


def _starts(length: int, window: int) -> list[int]:
    """Where windows begin that cover a length: evenly spread, so that a mirrored image gets mirrored windows, and as
    few as overlap by half or more."""
    rest = max(0, length - window)
    steps = -(-rest // (window // 2))
    return [round(index * rest / steps) for index in range(steps + 1)] if steps else [0]
