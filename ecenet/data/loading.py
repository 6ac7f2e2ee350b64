"""Training batches from worker processes, for one or several training processes."""

import signal
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ecenet.common.errors import UserError
from ecenet.data.sampling import SampleKey, StepSampler, TrainingSamples


class Batch(NamedTuple):
    """The part of a step's batch that one process trains on."""

    step: int
    pixels: Tensor
    """(B, 3, S, S) uint8 RGB."""
    labels: Tensor
    """(B, S, S) int64 class indices, 255 = ignore."""
    files: list[str]
    """Names of the images of the whole step, over all processes."""


def training_batches(
    samples: TrainingSamples, sampler: StepSampler, *, workers: int, pin_memory: bool
) -> Iterator[Batch]:
    """Yield the batches of the sampler, in order.

    Raises:
        UserError: an image is damaged; raised without the worker's traceback.
    """
    loader = DataLoader(
        _RefusalsAsValues(samples),
        batch_sampler=sampler,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
        # Otherwise each start draws a number from the global generator, and a resumed run differs.
        generator=torch.Generator(),
        collate_fn=_collate,
        worker_init_fn=_leave_stopping_to_the_run,
    )
    for step, batch in zip(sampler.steps, loader, strict=True):
        if isinstance(batch, UserError):
            raise batch
        pixels, labels = batch
        files = [samples.data.images[key.image].name for key in sampler.batch(step)]
        yield Batch(step, pixels, labels, files)


def _leave_stopping_to_the_run(worker: int) -> None:
    """Ignore the first SIGTERM in a worker. A signal to the whole process group also reaches the workers, which the run
    needs to complete the current step. The second signal ends the worker, because torch's loader waits forever for a
    stuck one after terminating it."""
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


class _RefusalsAsValues(Dataset[tuple[Tensor, Tensor] | UserError]):
    """Returns a `UserError` in place of the sample, since a worker's exceptions arrive as text of a traceback."""

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor] | UserError:
        try:
            return self.samples[key]
        except UserError as error:
            return error


def _collate(samples: list[tuple[Tensor, Tensor] | UserError]) -> list[Tensor] | UserError:
    refused = next((sample for sample in samples if isinstance(sample, UserError)), None)
    return refused or default_collate(samples)
