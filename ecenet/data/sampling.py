"""Training samples as a pure function of (seed, step): resuming needs no sampler state."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from ecenet.data.folder import FolderSplit
from ecenet.data.labels import IGNORE_INDEX

SampleKey = tuple[int, int]
"""Index of the image, seed of its augmentation."""


class StepSampler(Sampler[list[SampleKey]]):
    """Batches for the steps `first_step` … `last_step`; each batch depends on the seed and its step alone.

    Half of the images are drawn evenly, half by class: a class is drawn with the square root of its image count
    as weight, then an image that holds it. Rare classes come more often without being learnt by heart.
    """

    def __init__(self, *, presence: np.ndarray, batch_size: int, first_step: int, last_step: int, seed: int) -> None:
        self.members = [np.flatnonzero(column) for column in presence.T]
        counts = np.array([len(indices) for indices in self.members], dtype=float)
        self.class_weights = np.sqrt(counts) / np.sqrt(counts).sum()
        self.images = len(presence)
        self.batch_size = batch_size
        self.steps = range(first_step, last_step)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for step in self.steps:
            yield self.batch(step)

    def batch(self, step: int) -> list[SampleKey]:
        rng = np.random.default_rng((self.seed, step))
        keys: list[SampleKey] = []
        for position in range(self.batch_size):
            if position % 2 == 0:
                index = int(rng.integers(self.images))
            else:
                index = int(rng.choice(self.members[rng.choice(len(self.members), p=self.class_weights)]))
            keys.append((index, int(rng.integers(2**31))))
        return keys


class _ScaleJitter(v2.ScaleJitter):
    """Leaves the narrowest image at least one pixel."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = super().make_params(flat_inputs)["size"]
        return {"size": (max(1, height), max(1, width))}


class TrainingSamples(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Augmented crops: (3, S, S) uint8 RGB and (S, S) int64 labels.

    The key, not the global generator, decides the augmentation.
    """

    def __init__(self, data: FolderSplit, *, crop_size: int, image_size: int, scale: tuple[float, float]) -> None:
        self.data = data
        self.transform = v2.Compose(
            [
                _ScaleJitter((image_size, image_size), scale_range=scale, antialias=True),
                v2.RandomCrop(
                    crop_size,
                    pad_if_needed=True,
                    fill={tv_tensors.Image: 127, tv_tensors.Mask: IGNORE_INDEX},
                ),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05)], p=0.7),
                v2.RandomGrayscale(p=0.05),
            ]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: SampleKey) -> tuple[torch.Tensor, torch.Tensor]:
        index, seed = key
        image, mask = self.data.load(index)
        with torch.random.fork_rng(devices=[]):
            # Only the CPU's generator is restored, so only it is seeded.
            torch.default_generator.manual_seed(seed)
            pixels, labels = self.transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
        return pixels.as_subclass(torch.Tensor), labels.as_subclass(torch.Tensor).long()
