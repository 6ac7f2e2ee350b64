"""Training batches from worker processes, for one process of a run or one of several."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ecenet.common.errors import UserError
from ecenet.data.sampling import StepSampler, TrainingSamples


class Batch(NamedTuple):
    """What one process works through in one step."""

    step: int
    pixels: Tensor
    """(B, 3, S, S) uint8 RGB."""
    labels: Tensor
    """(B, S, S) int64 class indices, 255 = ignore."""
    files: list[str]
    """Names of the images that the whole step is of, over all processes."""


def training_batches(
    samples: TrainingSamples, sampler: StepSampler, *, workers: int, pin_memory: bool
) -> Iterator[Batch]:
    """The sampler's batches, in its order.

    Raises:
        UserError: an image turned out damaged; one sentence, without the traceback that a worker puts around it.
    """
    loader = DataLoader(
        samples,
        batch_sampler=sampler,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
        # Else each start would draw a number from the global generator, and a resumed run would differ.
        generator=torch.Generator(),
    )
    try:
        for step, (pixels, labels) in zip(sampler.steps, loader, strict=True):
            files = [samples.data.images[key.image].name for key in sampler.batch(step)]
            yield Batch(step, pixels, labels, files)
    except UserError as error:
        raise UserError(str(error).strip().splitlines()[-1].removeprefix("ecenet.common.errors.UserError: ")) from None
