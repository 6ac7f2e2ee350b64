"""Random colours: each change by itself against numbers worked out on paper, and all of them beside torchvision's."""

import math

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from ecenet.data.color_jitter import ColorJitter, hue_rotation, saturation_matrix

NOTHING = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


def image_of(*colors: tuple[int, int, int]) -> tv_tensors.Image:
    """One row of pixels."""
    return tv_tensors.Image(torch.tensor(colors, dtype=torch.uint8).T[:, None])


def changed(image: tv_tensors.Image, **params: float) -> list[list[int]]:
    return ColorJitter(0.4).transform(image, NOTHING | params)[:, 0].T.tolist()


def test_a_third_of_a_turn_of_the_hue_exchanges_the_channels_and_grey_stays() -> None:
    assert changed(image_of((200, 100, 30), (90, 90, 90)), hue=2 * math.pi / 3) == [[30, 200, 100], [90, 90, 90]]


def test_brightness_multiplies_and_is_cut_off_at_white() -> None:
    assert changed(image_of((200, 100, 30)), brightness=1.4) == [[255, 140, 42]]


def test_saturation_goes_from_grey_to_colour_and_beyond() -> None:
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 30)  # 122
    assert changed(image_of((200, 100, 30)), saturation=0.0) == [[grey] * 3]
    assert changed(image_of((200, 100, 30)), saturation=0.5) == [[161, 111, 76]]
    assert changed(image_of((90, 90, 90)), saturation=1.9) == [[90, 90, 90]]


def test_contrast_is_about_the_mean_grey() -> None:
    assert changed(image_of((100, 100, 100), (200, 200, 200)), contrast=0.5) == [[125] * 3, [175] * 3]
    assert changed(image_of((100, 100, 100), (200, 200, 200)), contrast=0.0) == [[150] * 3] * 2


def test_colours_far_from_the_ends_are_as_torchvision_has_them() -> None:
    image = tv_tensors.Image(torch.randint(90, 160, (3, 20, 30), generator=torch.manual_seed(0), dtype=torch.uint8))
    ours = ColorJitter(0.4).transform(image, NOTHING | {"brightness": 1.1, "contrast": 0.8, "saturation": 1.2})
    theirs = F.adjust_contrast(F.adjust_saturation(F.adjust_brightness(image, 1.1), 1.2), 0.8)
    assert (ours.int() - theirs.int()).abs().max() <= 3, "they round after each"


def test_draws_keep_within_the_strength_and_masks_and_neutral_draws_change_nothing() -> None:
    jitter = ColorJitter(0.4)
    torch.manual_seed(0)
    draws = [jitter.make_params([]) for _ in range(300)]
    for name, middle, reach in (
        ("brightness", 1, 0.4),
        ("contrast", 1, 0.4),
        ("saturation", 1, 0.4),
        ("hue", 0, math.radians(18)),
    ):
        values = [draw[name] for draw in draws]
        assert middle - reach <= min(values) < middle - 0.9 * reach
        assert middle + 0.9 * reach < max(values) <= middle + reach
    mask = tv_tensors.Mask(torch.tensor([[1, 2]], dtype=torch.uint8))
    assert jitter.transform(mask, draws[0]) is mask
    assert ColorJitter(0.0).make_params([]) == NOTHING
    assert changed(image_of((200, 100, 30))) == [[200, 100, 30]]


@pytest.mark.parametrize("matrix", [hue_rotation(0.7), saturation_matrix(0.3)])
def test_grey_is_left_alone(matrix: torch.Tensor) -> None:
    torch.testing.assert_close(matrix @ torch.full((3,), 77.0), torch.full((3,), 77.0))
