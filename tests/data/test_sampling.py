"""Training samples: what a step sees depends on the seed and the step, on nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ecenet.data.layouts.folder import read_folder
from ecenet.data.sampling import SampleKey, StepSampler, TrainingSamples
from tests.support.helpers import write_classes, write_folder, write_pair

PRESENCE = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]], dtype=bool)


def batches(first_step: int, last_step: int, *, seed: int = 0, batch_size: int = 4) -> list[list[SampleKey]]:
    sampler = StepSampler(
        presence=PRESENCE, batch_size=batch_size, first_step=first_step, last_step=last_step, seed=seed
    )
    drawn = list(sampler)
    assert len(sampler) == len(drawn)
    return drawn


def test_a_batch_depends_on_seed_and_step_not_on_where_the_run_began() -> None:
    whole = batches(0, 12)
    assert batches(7, 12) == whole[7:]
    assert batches(11, 12) == whole[11:]
    assert batches(12, 12) == []
    assert batches(0, 12, seed=1) != whole
    assert len({str(batch) for batch in whole}) == 12


def test_every_sample_has_its_own_augmentation() -> None:
    seeds = [seed for batch in batches(0, 50) for _, seed, _, _ in batch]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.filterwarnings("error")
def test_half_is_drawn_evenly_half_by_class_and_a_class_without_images_never() -> None:
    drawn = batches(0, 3000, batch_size=2)
    even = np.bincount([batch[0][0] for batch in drawn], minlength=5) / 3000
    by_class = np.bincount([batch[1][0] for batch in drawn], minlength=5) / 3000
    assert np.abs(even - 0.2).max() < 0.03

    # Classes 0, 1 and 3 have 5, 1 and 1 images, class 2 has none: weights √5 : 1 : 1.
    weights = np.sqrt([5, 1, 1]) / np.sqrt([5, 1, 1]).sum()
    expected = np.full(5, weights[0] / 5)
    expected[1] += weights[1]
    expected[2] += weights[2]
    assert np.abs(by_class - expected).max() < 0.03


def samples(
    root: Path, *, crop_size: int = 48, scale: tuple[float, float] = (0.5, 1.75), color: float = 0.4
) -> TrainingSamples:
    return TrainingSamples(read_folder(root, "train"), crop_size=crop_size, image_size=64, scale=scale, color=color)


def test_the_key_alone_decides_a_sample(tmp_path: Path) -> None:
    data = samples(write_folder(tmp_path, splits=("train",), images=2))
    torch.manual_seed(1)
    first = data[SampleKey(0, 7)]
    torch.manual_seed(2)
    again = data[SampleKey(0, 7)]
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    for other in (data[SampleKey(0, 8)], data[SampleKey(1, 7)]):
        assert not torch.equal(first[0], other[0])


def test_a_sample_has_the_crops_size_and_plain_tensors(tmp_path: Path) -> None:
    data = samples(write_folder(tmp_path, splits=("train",), images=1))
    assert len(data) == 1
    pixels, labels = data[SampleKey(0, 0)]
    assert type(pixels) is type(labels) is torch.Tensor
    assert (pixels.shape, pixels.dtype) == ((3, 48, 48), torch.uint8)
    assert (labels.shape, labels.dtype) == ((48, 48), torch.int64)


def numpy_state() -> np.ndarray:
    """A copy of the words that the global generator goes on from."""
    state = np.random.get_state()
    assert isinstance(state, tuple)
    return state[1].copy()


def test_the_global_generators_are_left_as_they_are(tmp_path: Path) -> None:
    data = samples(write_folder(tmp_path, splits=("train",), images=1))
    torch.manual_seed(5)
    np.random.seed(5)
    before, before_numpy = torch.get_rng_state(), numpy_state()
    data[SampleKey(0, 3)]
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(numpy_state(), before_numpy)


def test_image_and_mask_stay_aligned_and_padding_is_ignored(tmp_path: Path) -> None:
    write_classes(tmp_path)
    mask = np.zeros((40, 64), np.uint8)
    mask[:, 20:] = 1
    mask[24:, 40:] = 2
    # Brightness survives the colour jitter's order, and no label has the padding's grey.
    image = Image.fromarray(np.stack([np.array([0, 80, 255], np.uint8)[mask]] * 3, -1))
    write_pair(tmp_path, "train", "steps", mask, image=image)
    data = samples(tmp_path, crop_size=64)

    padded = labelled = mirrored = 0
    for seed in range(60):
        pixels, labels = data[SampleKey(0, seed)]
        grey = pixels.float().mean(dim=0)
        ignored = labels == 255
        padded += int(ignored.any())
        # The bilinear image and the nearest mask may differ by a pixel at borders.
        inner = labels == -torch.nn.functional.max_pool2d(-labels[None, None].float(), 5, 1, 2)[0, 0]
        inner &= labels == torch.nn.functional.max_pool2d(labels[None, None].float(), 5, 1, 2)[0, 0]
        ranges = [grey[inner & (labels == label)] for label in range(3)]
        for darker, brighter in ((0, 1), (1, 2), (0, 2)):
            if len(ranges[darker]) and len(ranges[brighter]):
                assert ranges[darker].max() < ranges[brighter].min()
                labelled += 1
        columns = [torch.nonzero(labels == label)[:, 1].float().mean() for label in (0, 1)]
        mirrored += int(columns[0] > columns[1])
        for values in ranges:
            if len(values):
                assert values.max() - values.min() <= 3, "one label, one colour"
    assert 20 < padded < 60
    assert labelled > 60
    assert 15 < mirrored < 45


def test_the_strength_of_the_colour_jitter_is_a_setting(tmp_path: Path) -> None:
    write_classes(tmp_path)
    image = Image.new("RGB", (64, 64), (200, 120, 60))
    write_pair(tmp_path, "train", "a", np.zeros((64, 64), np.uint8), image=image)
    for color, farthest in ((0.0, range(0, 1)), (0.1, range(5, 60)), (0.8, range(90, 256))):
        data = samples(tmp_path, scale=(1, 1), color=color)
        # One sample in twenty is grey, which no strength decides.
        colours = [pixels[:, 24, 24] for pixels, _ in (data[SampleKey(0, seed)] for seed in range(40))]
        coloured = [
            int((one.int() - torch.tensor([200, 120, 60])).abs().max()) for one in colours if len(set(one.tolist())) > 1
        ]
        assert max(coloured) in farthest


def test_padding_is_labelled_255_and_nothing_else_is(tmp_path: Path) -> None:
    write_classes(tmp_path)
    write_pair(tmp_path, "train", "a", np.ones((32, 64), np.uint8))
    _, labels = samples(tmp_path, crop_size=96, scale=(1.0, 1.0))[SampleKey(0, 0)]
    assert (labels == 1).sum() == 32 * 64
    assert (labels == 255).sum() == 96 * 96 - 32 * 64


def test_a_very_narrow_image_can_be_trained_on(tmp_path: Path) -> None:
    write_classes(tmp_path)
    write_pair(tmp_path, "train", "ribbon", np.ones((8, 2000), np.uint8))
    _, labels = samples(tmp_path, scale=(0.5, 0.5))[SampleKey(0, 0)]
    assert sorted(labels.unique().tolist()) == [1, 255]


def test_pasted_samples_have_a_donor_that_holds_the_class_and_rare_classes_come_first() -> None:
    pixels = np.array([10_000, 100, 0, 400])
    sampler = StepSampler(
        presence=PRESENCE, batch_size=4, first_step=0, last_step=1000, seed=0, paste=0.25, pixels=pixels
    )
    keys = [key for batch in sampler for key in batch]
    pasted = [key for key in keys if key.donor >= 0]
    assert len(pasted) / len(keys) == pytest.approx(0.25, abs=0.03)
    assert all(PRESENCE[key.donor, key.donor_class] for key in pasted)
    shares = np.bincount([key.donor_class for key in pasted], minlength=4) / len(pasted)
    weights = np.array([1 / 100, 1 / 10, 0, 1 / 20])
    assert np.abs(shares - weights / weights.sum()).max() < 0.04


@pytest.mark.parametrize(("power", "expected"), [(0.0, [1, 1, 1]), (0.5, [5**0.5, 1, 1]), (1.0, [5, 1, 1])])
def test_classes_are_drawn_with_a_power_of_their_image_count(power: float, expected: list[float]) -> None:
    """Class 0 is in all five images, class 1 and 3 in one each, class 2 in none."""
    sampler = StepSampler(presence=PRESENCE, batch_size=2, first_step=0, last_step=4000, seed=0, class_sampling=power)
    by_class = [batch[1].image for batch in sampler]  # every second image is drawn by class
    shares = np.bincount(by_class, minlength=5) / len(by_class)
    weights = np.array(expected) / sum(expected)
    of_images = weights[0] / 5 + np.array([0, weights[1], weights[2], 0, 0])
    assert np.abs(shares - of_images).max() < 0.025


def test_parts_of_a_batch_are_the_whole_batch() -> None:
    def sampler(part: int, parts: int) -> StepSampler:
        return StepSampler(presence=PRESENCE, batch_size=6, first_step=3, last_step=5, seed=0, part=part, parts=parts)

    whole = list(sampler(0, 1))
    parts = [list(sampler(part, 3)) for part in range(3)]
    assert [[key for part in parts for key in part[step]] for step in range(2)] == whole


def test_a_donors_region_covers_image_and_mask_alike(tmp_path: Path) -> None:
    write_classes(tmp_path)
    write_pair(tmp_path, "train", "a", np.zeros((48, 48), np.uint8), image=Image.new("RGB", (48, 48), (10, 10, 10)))
    donor = np.ones((48, 48), np.uint8)
    donor[:, :24] = 2
    write_pair(tmp_path, "train", "b", donor, image=Image.new("RGB", (48, 48), (250, 250, 250)))
    data = samples(tmp_path, scale=(0.75, 0.75))

    plain, _ = data[SampleKey(0, 7)]
    pixels, labels = data[SampleKey(0, 7, 1, 2)]
    pasted = labels == 2
    assert 0.4 < pasted.float().mean() < 0.6, "half of the donor, whatever its crop"
    assert (pixels[:, pasted].float().mean(dim=1) > 100).all(), "bright, whatever its colours became"
    assert torch.equal(pixels[:, ~pasted], plain[:, ~pasted])
    assert 1 not in labels
