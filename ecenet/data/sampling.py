"""Training samples as a pure function of (seed, step), so that resuming needs no sampler state."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from ecenet.data.color_jitter import ColorJitter
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.split import LabelledSplit


class SampleKey(NamedTuple):
    """Everything that determines a sample."""

    image: int
    """Index of the image."""
    seed: int
    """Seed of the augmentation."""
    donor: int = -1
    """Index of the image from which a region is pasted; negative for none."""
    donor_class: int = -1


class StepSampler(Sampler[list[SampleKey]]):
    """Batches for the steps `first_step` … `last_step`; each batch depends only on the seed and its step.

    Half of the images are drawn uniformly, half by class: a class is drawn with a power of its number of images as
    weight, by default the square root, then an image that contains it. Rare classes are thus drawn more often, but not
    so often that they are memorised.

    Args:
        presence: (images, K) bool, which image contains which class.
        batch_size: size of the whole batch, over all processes.
        paste: share of samples with a donor. Its class is drawn with the inverse square root of its pixels as weight.
        class_sampling: the power; 0 draws all classes equally often, 1 in proportion to their images.
        pixels: (K,) labelled pixels of each class.
        part: index of the part to yield, of `parts` equal parts of each batch, one for each process.
    """

    def __init__(
        self,
        *,
        presence: np.ndarray,
        batch_size: int,
        first_step: int,
        last_step: int,
        seed: int,
        paste: float = 0.0,
        class_sampling: float = 0.5,
        pixels: np.ndarray | None = None,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self.members = [np.flatnonzero(column) for column in presence.T]
        counts = np.array([len(indices) for indices in self.members], dtype=float)
        powers = np.where(counts > 0, np.maximum(counts, 1) ** class_sampling, 0)
        self.class_weights = powers / powers.sum()
        self.images = len(presence)
        self.batch_size = batch_size
        self.steps = range(first_step, last_step)
        self.seed = seed
        self.paste = paste
        rarity = np.where(counts > 0, 1.0 if pixels is None else np.maximum(pixels, 1) ** -0.5, 0.0)
        self.donor_weights = rarity / rarity.sum()
        self.part = slice(part * batch_size // parts, (part + 1) * batch_size // parts)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for step in self.steps:
            yield self.batch(step)[self.part]

    def batch(self, step: int) -> list[SampleKey]:
        """Return the whole batch of a step."""
        rng = np.random.default_rng((self.seed, step))
        keys: list[SampleKey] = []
        for position in range(self.batch_size):
            if position % 2 == 0:
                index = int(rng.integers(self.images))
            else:
                index = self._image_of(int(rng.choice(len(self.members), p=self.class_weights)), rng)
            seed = int(rng.integers(2**31))
            donor = donor_class = -1
            if rng.random() < self.paste:
                donor_class = int(rng.choice(len(self.members), p=self.donor_weights))
                donor = self._image_of(donor_class, rng)
            keys.append(SampleKey(index, seed, donor, donor_class))
        return keys

    def _image_of(self, class_index: int, rng: np.random.Generator) -> int:
        return int(rng.choice(self.members[class_index]))


class _ScaleJitter(v2.ScaleJitter):
    """Scale jitter that keeps at least one pixel of very narrow images."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = super().make_params(flat_inputs)["size"]
        return {"size": (max(1, height), max(1, width))}


class TrainingSamples(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Augmented crops: (3, S, S) uint8 RGB and (S, S) int64 labels.

    The augmentation is determined by the key, not by the global generator.
    """

    def __init__(
        self, data: LabelledSplit, *, crop_size: int, image_size: int, scale: tuple[float, float], color: float
    ) -> None:
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
                v2.RandomApply([ColorJitter(color)], p=0.7),
                v2.RandomGrayscale(p=0.05),
            ]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: SampleKey) -> tuple[torch.Tensor, torch.Tensor]:
        pixels, labels = self._augmented(key.image, seed=key.seed)
        if key.donor >= 0:
            donor_pixels, donor_labels = self._augmented(key.donor, seed=key.seed ^ 1)
            region = donor_labels == key.donor_class
            pixels, labels = torch.where(region, donor_pixels, pixels), torch.where(region, donor_labels, labels)
        return pixels, labels

    def _augmented(self, index: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.data.load(index)
        with torch.random.fork_rng(devices=[]):
            # Only the CPU's generator is restored afterwards, so only that one is seeded.
            torch.default_generator.manual_seed(seed)
            pixels, labels = self.transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
        return pixels.as_subclass(torch.Tensor), labels.as_subclass(torch.Tensor).long()
