"""Training batches from worker processes, for one process of a run or one of several."""

import signal
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ecenet.common.errors import UserError
from ecenet.data.sampling import SampleKey, StepSampler, TrainingSamples


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
        _RefusalsAsValues(samples),
        batch_sampler=sampler,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
        # Else each start would draw a number from the global generator, and a resumed run would differ.
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
    """Whoever ends a group of processes asks the workers, too: without them the step at hand could not be ended. One
    request is therefore left to the run. The second ends the worker, or a run could not get rid of one that is stuck:
    torch's loader waits for it without end once it has asked it twice."""
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


class _RefusalsAsValues(Dataset[tuple[Tensor, Tensor] | UserError]):
    """What a worker raises comes as the text of a traceback, so a refusal takes the sample's place."""

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
