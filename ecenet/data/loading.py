"""Training batches from worker processes, for one process of a run or one of several."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ecenet.common.errors import UserError
from ecenet.data.sampling import SampleKey, StepSampler, TrainingSamples

Batch = tuple[Tensor, Tensor]
"""(B, 3, S, S) uint8 RGB, (B, S, S) int64 labels."""


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
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


class _RefusalsAsValues(Dataset[Batch | UserError]):
    """What a worker raises comes as the text of a traceback, so a refusal takes the sample's place."""

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples

    def __getitem__(self, key: SampleKey) -> Batch | UserError:
        try:
            return self.samples[key]
        except UserError as error:
            return error


def _collate(samples: list[Batch | UserError]) -> Batch | UserError:
    refused = next((sample for sample in samples if isinstance(sample, UserError)), None)
    return refused or default_collate(samples)
