"""Averaging several looks at an image."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ecenet.evaluation.tta import Averaging, _starts, averaged_label_maps, averaged_probabilities
from ecenet.inference import upsample as detail
from ecenet.inference.predictor import Predictor
from tests.support.helpers import noise_image, small_model
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """In fp32: bf16 would round mirrored sums differently."""
    return Predictor(small_model(image_size=96), device="cpu", half=False)


@pytest.mark.parametrize("size", [(96, 64), (130, 75), (40, 90)])
@pytest.mark.parametrize("half", [False, True])
def test_one_look_is_predict(size: tuple[int, int], half: bool) -> None:
    predictor = Predictor(small_model(), device="cpu", half=half)
    image = noise_image(*size)
    prediction, means = predictor.predict(image), averaged_probabilities(predictor, image)
    assert list(means) == list(prediction.stages)
    for name, stage in prediction.stages.items():
        assert means[name].shape == (3, size[1], size[0])
        assert means[name].dtype == torch.float32
        first, second = means[name].topk(2, dim=0).values.numpy()
        decided = first - second > 1e-3
        assert decided.mean() > 0.2, "so that it is compared at all"
        assert np.array_equal(means[name].argmax(dim=0).numpy()[decided], stage.label_map[decided])
        np.testing.assert_allclose(first, stage.confidence, atol=1e-3)


def test_label_maps_of_large_images_are_repeated_as_predict_repeats_them(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail, "MAX_DETAIL_SIDE", 50)
    image = noise_image(130, 75)
    assert averaged_probabilities(predictor, image)["final"].shape == (3, 29, 50)
    for name, label_map in averaged_label_maps(predictor, image, Averaging()).items():
        assert np.array_equal(label_map, predictor.predict(image).stages[name].label_map)


def test_with_flip_a_mirrored_image_gets_the_mirrored_answer(predictor: Predictor) -> None:
    image = noise_image(96, 64)
    mirrored = ImageOps.mirror(image)
    each: tuple[dict[str, Any], ...] = ({}, {"window": 64})
    for options in each:
        ours = averaged_probabilities(predictor, image, flip=True, **options)
        theirs = averaged_probabilities(predictor, mirrored, flip=True, **options)
        for name, mean in ours.items():
            torch.testing.assert_close(theirs[name].flip(-1), mean, rtol=0, atol=1e-5)
    once = averaged_probabilities(predictor, mirrored)["final"].flip(-1)
    assert (once - averaged_probabilities(predictor, image)["final"]).abs().max() > 1e-3, "so that it is no given"


def test_every_look_counts_the_same(predictor: Predictor) -> None:
    image = noise_image(96, 64)
    looks = [averaged_probabilities(predictor, image, scales=(scale,)) for scale in (0.5, 1.0, 1.5)]
    mean = averaged_probabilities(predictor, image, scales=(0.5, 1.0, 1.5))
    for name in mean:
        torch.testing.assert_close(mean[name], torch.stack([look[name] for look in looks]).mean(dim=0))
    mirrored = averaged_probabilities(predictor, ImageOps.mirror(image))["final"].flip(-1)
    both = averaged_probabilities(predictor, image, flip=True)["final"]
    torch.testing.assert_close(both, (looks[1]["final"] + mirrored) / 2)


def test_a_scale_is_a_working_size(predictor: Predictor) -> None:
    image = noise_image(96, 64)
    larger = Predictor(predictor.model, device="cpu", half=False, image_size=144)
    scaled, direct = averaged_probabilities(predictor, image, scales=(1.5,)), averaged_probabilities(larger, image)
    assert all(torch.equal(scaled[name], direct[name]) for name in direct)
    assert predictor.working_size((96, 64), scale=0.01) == (16, 16), "at least one cell"


@pytest.mark.parametrize("window", [96, 112, 960])
def test_a_window_as_large_as_the_image_is_no_window(predictor: Predictor, window: int) -> None:
    image = noise_image(130, 75)
    windowed, whole = averaged_probabilities(predictor, image, window=window), averaged_probabilities(predictor, image)
    assert all(torch.equal(windowed[name], whole[name]) for name in whole)


def test_overlapping_windows_are_averaged_by_hand(predictor: Predictor) -> None:
    image = noise_image(96, 64)
    windowed = averaged_probabilities(predictor, image, window=64)
    whole = averaged_probabilities(predictor, image)
    # Two windows of 64×64 that share the 32 columns in the middle; alone, each is an image at its own size.
    alone = Predictor(predictor.model, device="cpu", half=False, image_size=64)
    left, right = (averaged_probabilities(alone, image.crop((x, 0, x + 64, 64))) for x in (0, 32))
    for name, mean in windowed.items():
        middle = (left[name][..., 32:] + right[name][..., :32]) / 2
        expected = torch.cat([left[name][..., :32], middle, right[name][..., 32:]], dim=-1)
        torch.testing.assert_close(mean, expected)
    assert (windowed["final"] - whole["final"]).abs().max() > 1e-3


def test_windows_cover_the_image_evenly_and_overlap_by_half() -> None:
    assert _starts(96, 64) == [0, 32]
    assert _starts(64, 64) == _starts(32, 64) == [0]
    assert _starts(1024, 512) == [0, 256, 512]
    for length in range(64, 1000, 16):
        starts = _starts(length, 64)
        assert (starts[0], starts[-1]) == (0, length - 64)
        assert all(0 < b - a <= 32 for a, b in pairwise(starts))


def test_probabilities_sum_to_one(predictor: Predictor) -> None:
    means = averaged_probabilities(predictor, noise_image(130, 75), scales=(0.75, 1.25), flip=True, window=48)
    for mean in means.values():
        torch.testing.assert_close(mean.sum(dim=0), torch.ones(75, 130))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"scales": ()}, ("scales", "none")),
        ({"scales": (1.0, 0.0)}, ("scales", "0.0")),
        ({"scales": (-1.0,)}, ("scales", "-1.0")),
        ({"scales": (75.0,)}, ("scales", "75.0")),
        ({"scales": (float("nan"),)}, ("scales", "nan")),
        ({"window": 0}, (16, 0)),
        ({"window": -16}, (16, -16)),
        ({"window": 8}, (16, 8)),
        ({"window": 500}, (500, "496 or 512")),
    ],
)
def test_looks_that_there_are_not_are_refused(
    predictor: Predictor, options: dict[str, Any], named: tuple[object, ...]
) -> None:
    with refused("out-of-range", *named):
        averaged_probabilities(predictor, noise_image(32, 32), **options)


def test_an_image_that_cannot_be_used_is_refused(predictor: Predictor) -> None:
    with refused("image-too-small", "4×4", "8×8"):
        averaged_probabilities(predictor, Image.new("RGB", (4, 4)))
