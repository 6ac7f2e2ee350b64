"""Test-time augmentation: average predictions over several scales, the mirrored image and sliding windows."""

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
"""Maximum scale; guards against typos such as 75 for 0.75, which would exhaust the memory."""


@dataclass(frozen=True)
class Averaging:
    """Options of test-time augmentation; the defaults give the prediction of `Predictor.predict`."""

    scales: tuple[float, ...] = (1.0,)
    """Multiples of the predictor's working size."""
    flip: bool = False
    """Also predict the mirrored image."""
    window: int | None = None
    """Side of sliding windows in pixels at working size; windows overlap by half. None predicts the whole image."""

    def check(self, predictor: Predictor) -> None:
        """Check the options for a predictor.

        Raises:
            UserError: no scale, a scale out of range, or a window that is not a multiple of the backbone's stride.
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
                f"got {self.window}; try {fitting}.",
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
    """Mean softmax of every stage over scales and mirrored images; arguments as for `Averaging`.

    With default arguments the most probable classes are the label maps of `Predictor.predict`. Test-time augmentation
    is common practice and not part of the paper.

    Returns: (K, H, W) float32 by stage, on the predictor's device, at the image's size up to `MAX_DETAIL_SIDE`.
    Raises:
        UserError: the source is not a readable image, or an argument is out of range.
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
    """(H, W) uint8 most probable classes by stage, after averaging; errors as for `averaged_probabilities`."""
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
    """(K, *size) probabilities of a (1, 3, h, w) image; yields one stage at a time to limit memory."""
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
    """As `_look`, but averaged over windows at working size and then resized."""
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
    """Start positions of the fewest windows that cover a length with an overlap of at least half; evenly spaced, so
    that a mirrored image gets mirrored windows."""
    rest = max(0, length - window)
    steps = -(-rest // (window // 2))
    return [round(index * rest / steps) for index in range(steps + 1)] if steps else [0]
