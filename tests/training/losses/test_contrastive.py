"""The supervised contrastive loss on class embeddings, worked out by hand and by its properties."""

import math

import pytest
import torch
from torch import Tensor

from ecenet.training.config import LossConfig
from ecenet.training.losses.contrastive import contrastive_loss, held_classes, stage_contrast
from ecenet.training.losses.segmentation import segmentation_losses
from tests.support.helpers import small_model

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
BOTH = torch.ones(2, 2, dtype=torch.bool)
"""Two photos that show both of two classes."""


def test_the_value_worked_out_by_hand() -> None:
    # Class 0 lies east in both photos, class 1 north in the first and west in the second; cosines with the others:
    embeddings = torch.tensor([[EAST, NORTH], [EAST, WEST]])
    e, temperature = math.exp, 0.5
    of_east_in_first = -math.log(e(1 / 0.5) / (e(1 / 0.5) + e(0 / 0.5) + e(-1 / 0.5)))  # east; north, west
    of_east_in_second = of_east_in_first
    of_north = -math.log(e(0) / (e(0) + e(0) + e(0)))  # west, its own class; east twice
    of_west = -math.log(e(0) / (e(0) + e(-1 / 0.5) + e(-1 / 0.5)))  # north, its own class; east twice
    expected = (of_east_in_first + of_east_in_second + of_north + of_west) / 4
    assert contrastive_loss(embeddings, BOTH, temperature=temperature).item() == pytest.approx(expected)


def test_several_photos_of_a_class_are_averaged_and_a_class_of_one_photo_is_only_a_rival() -> None:
    embeddings = torch.tensor([[EAST, NORTH], [NORTH, WEST], [EAST, WEST]])
    held = torch.tensor([[True, False], [True, False], [True, True]])
    e = math.exp
    first = e(0) + e(1) + e(-1)  # east: north, east, and west, which is class 1
    of_first = -(math.log(e(0) / first) + math.log(e(1) / first)) / 2
    second = 3 * e(0)  # north: all at right angles
    of_second = -math.log(e(0) / second)
    expected = (2 * of_first + of_second) / 3  # the third photo's class 0 is as the first's
    assert contrastive_loss(embeddings, held, temperature=1.0).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "held",
    [
        torch.zeros(2, 2, dtype=torch.bool),
        torch.tensor([[True, False], [False, False]]),
        torch.tensor([[True, False], [False, True]]),
        torch.tensor([[True, True], [False, False]]),
    ],
    ids=["no class", "one class of one photo", "a class each", "two classes of one photo"],
)
def test_where_no_two_photos_share_a_class_there_is_nothing_to_compare(held: Tensor) -> None:
    embeddings = torch.randn(2, 2, 3, requires_grad=True)
    loss = contrastive_loss(embeddings, held)
    assert loss == 0
    total = loss + 0 * embeddings.sum()
    total.backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_it_falls_as_embeddings_of_a_class_align() -> None:
    torch.manual_seed(0)
    own, scattered = torch.randn(1, 3, 8), torch.randn(4, 3, 8)
    held = torch.ones(4, 3, dtype=torch.bool)
    losses = [
        contrastive_loss(torch.lerp(scattered, own.expand(4, -1, -1), share), held).item() for share in (0, 0.5, 0.9)
    ]
    assert losses[0] > losses[1] > losses[2]


def test_a_step_along_its_gradient_lowers_it_and_spares_what_takes_no_part() -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(3, 2, 4, requires_grad=True)
    held = torch.tensor([[True, True], [True, False], [True, True]])
    before = contrastive_loss(embeddings, held)
    before.backward()
    assert embeddings.grad is not None
    assert (embeddings.grad[held].abs().sum(dim=1) > 0).all()
    assert (embeddings.grad[~held] == 0).all(), "a class that the photo does not show"
    assert contrastive_loss(embeddings - 0.01 * embeddings.grad, held) < before


def test_the_order_of_photos_and_the_length_of_embeddings_do_not_matter() -> None:
    torch.manual_seed(0)
    embeddings, held = torch.randn(5, 4, 6), torch.rand(5, 4) > 0.4
    order = torch.randperm(5)
    loss = contrastive_loss(embeddings, held)
    torch.testing.assert_close(contrastive_loss(embeddings[order], held[order]), loss)
    torch.testing.assert_close(contrastive_loss(embeddings * (1 + torch.rand(5, 4, 1)), held), loss)


def test_a_class_is_held_from_one_percent_of_the_crop_on() -> None:
    labels = torch.zeros(2, 10, 20, dtype=torch.long)
    labels[0, 0, :2] = 1  # 2 of 200 pixels
    labels[0, 1, :1] = 2
    labels[1] = 255
    assert held_classes(labels, num_classes=3).tolist() == [[True, True, False], [False, False, False]]


def test_it_is_the_mean_over_the_stages_and_a_weighted_term_of_the_total() -> None:
    model = small_model().train()
    torch.manual_seed(0)
    output, labels = model(torch.randn(3, 3, 64, 64)), torch.randint(3, (3, 64, 64))
    held = held_classes(labels, num_classes=3)
    of_stages = [
        contrastive_loss(output.stages[name].embeddings_after, held)
        for name in ("ece", "stage4", "stage3", "stage2", "stage1")
    ]
    expected = torch.stack(of_stages).mean()
    torch.testing.assert_close(stage_contrast(output, labels), expected)
    without, with_it = (segmentation_losses(output, labels, LossConfig(contrast_weight=weight)) for weight in (0, 0.5))
    assert without.contrast == 0
    torch.testing.assert_close(with_it.contrast, expected)
    torch.testing.assert_close(with_it.total, without.total + 0.5 * expected)
