"""Losses of SegViT's authors and of ECENet's release, against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from ecenet.model.outputs import ECENetOutput, StageOutput
from ecenet.training.config import DataConfig, LossConfig, TrainConfig
from ecenet.training.losses.published import (
    class_cross_entropy,
    deep_masks,
    held_masks,
    mask_cross_entropy,
    mask_dice,
    mask_focal,
    masks_per_image,
    release_mask_loss,
    segvit_loss,
)
from ecenet.training.losses.segmentation import cross_entropy, segmentation_losses
from tests.support.helpers import EXPLICIT, small_release, small_segvit
from tests.support.refusals import refused

LOG2 = math.log(2)
LABELS = torch.tensor([[[0, 0], [1, 255]]])
"""One image: two pixels of class 0, one of class 1, one without a label; class 2 is not there."""
UNLABELLED = torch.full_like(LABELS, 255)


def segvit_output(class_logits: list[Tensor], masks: list[Tensor]) -> ECENetOutput:
    """Stages as SegViT's, the deepest first; what its loss does not look at is empty."""
    stages = {}
    empty = torch.zeros(len(masks[0]), 1)
    for number, (classes, mask) in enumerate(zip(class_logits, masks, strict=True)):
        name = f"stage{len(masks) - number}"
        stages[name] = StageOutput(empty, mask, mask, empty, empty, None, classes)
    stages["final"] = StageOutput(empty, masks[-1], masks[-1], empty, empty, None)
    return ECENetOutput(masks[-1], stages, torch.zeros(()))


# With every probability one half, a pixel's cross-entropy is log 2. Focal: half squared of it, of which a mask's own
# pixels weigh 0.25, all others (the one without a label, too) 0.75. Dice of class 0: (2 · 1 + 1) / (2 + 2 + 1), of
# class 1: (2 · ½ + 1) / (2 + 1 + 1).
FOCAL = 0.25 * LOG2 * ((2 * 0.25 + 2 * 0.75) + (1 * 0.25 + 3 * 0.75)) / 4
DICE = (1 - 3 / 5) + (1 - 2 / 4)


def test_the_parts_are_what_one_counts_by_hand() -> None:
    masks = held_masks(torch.zeros(1, 3, 2, 2), LABELS)
    assert masks.logits.shape == (2, 4), "of the classes that the image holds"
    assert masks.targets.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]
    assert mask_focal(masks).item() == pytest.approx(FOCAL)
    assert mask_dice(masks).item() == pytest.approx(DICE)
    assert mask_cross_entropy(masks).item() == pytest.approx(2 * LOG2)
    assert masks_per_image(torch.cat([LABELS, UNLABELLED]), num_classes=3) == 1


def test_masks_are_compared_at_the_size_of_the_labels() -> None:
    labels = torch.tensor([[[0, 0, 1, 1]]])
    masks = held_masks(torch.tensor([[[[4.0, -4.0]], [[-4.0, 4.0]]]]), labels)
    torch.testing.assert_close(masks.logits[0], torch.tensor([4.0, 2.0, -2.0, -4.0]))


def test_segvits_loss_is_twenty_focal_one_dice_and_the_cross_entropy_of_classes() -> None:
    expected = 2 * LOG2 + (20 * FOCAL + DICE) / 2  # each of four answers is as likely; two masks
    output = segvit_output([torch.zeros(1, 3, 4)], [torch.zeros(1, 3, 2, 2)])
    assert segvit_loss(output, LABELS).item() == pytest.approx(expected)
    sure = torch.zeros(1, 3, 4)
    sure[0, 2, 3] = 50
    output = segvit_output([sure], [torch.zeros(1, 3, 2, 2)])
    of_classes = 2 * LOG2 * 2 / 2.1
    assert segvit_loss(output, LABELS).item() == pytest.approx(of_classes + (20 * FOCAL + DICE) / 2), "absent weigh 0.1"


def test_every_stage_weighs_one_and_has_the_masks_up_to_it() -> None:
    classes, half = torch.zeros(1, 3, 4), torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    both = segvit_loss(segvit_output([classes, classes], [half, half]), LABELS)
    one = segvit_loss(segvit_output([classes], [half]), LABELS)
    two = segvit_loss(segvit_output([classes], [2 * half]), LABELS)
    torch.testing.assert_close(both, one + two)


def test_an_image_without_labels_trains_no_object_and_masks_are_counted_over_the_batch() -> None:
    labels = torch.cat([LABELS, UNLABELLED])
    classes, masks = torch.zeros(2, 3, 4), torch.zeros(2, 3, 2, 2)
    classes[1, :, 3] = 1.0
    absent = -math.log(math.e / (math.e + 3))
    # Weights: 1, 1 and 0.1 in the first image, three times 0.1 in the second.
    of_classes = (2.1 * 2 * LOG2 + 0.3 * absent) / 2.4
    loss = segvit_loss(segvit_output([classes], [masks]), labels)
    assert loss.item() == pytest.approx(of_classes + (20 * FOCAL + DICE) / 2)
    # Three classes of two images, of 1 and 2 masks: the sum over all three divided by three, not a mean of means.
    labels = torch.cat([LABELS, torch.zeros_like(LABELS)])
    full = 0.25 * LOG2 * 0.25 * 4 / 4, 1 - (2 * 2 + 1) / (2 + 4 + 1)
    loss = segvit_loss(segvit_output([torch.zeros(2, 3, 4)], [masks]), labels)
    assert loss.item() == pytest.approx(2 * LOG2 + (20 * (FOCAL + full[0]) + DICE + full[1]) / 3)


def test_parts_of_a_batch_have_the_loss_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    classes, masks = torch.randn(4, 3, 4, generator=generator), torch.randn(4, 3, 4, 6, generator=generator)
    labels = torch.randint(3, (4, 16, 24), generator=generator)
    labels[1], labels[2] = 255, 2
    per_image = masks_per_image(labels, num_classes=3)
    whole = segvit_loss(segvit_output([classes], [masks]), labels)
    halves = [
        segvit_loss(segvit_output([classes[part]], [masks[part]]), labels[part], per_image=per_image)
        for part in (slice(0, 2), slice(2, 4))
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)
    assert class_cross_entropy(classes[:2], labels[:2], per_image=per_image).isfinite()


def test_the_loss_segvit_leaves_the_final_map_alone(images: Tensor) -> None:
    model = small_segvit().train()
    labels = torch.randint(3, (2, 64, 96), generator=torch.Generator().manual_seed(2))
    output = model(images)
    losses = segmentation_losses(output, labels, LossConfig(terms="segvit"))
    torch.testing.assert_close(losses.total, segvit_loss(output, labels))
    assert losses.final > 0, "it is reported"
    losses.total.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    explicit = small_segvit(**EXPLICIT).train()
    segmentation_losses(explicit(images), labels, LossConfig(terms="segvit")).total.backward()
    assert all(parameter.grad is not None for parameter in explicit.extract.mask.parameters()), "the mask needs a loss"


def test_the_releases_loss_is_of_the_sum_of_all_masks_but_the_shallowest() -> None:
    model = small_release().train()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(3, (2, 64, 96), generator=torch.Generator().manual_seed(2))
    labels[:, :9] = 255
    output = model(images)
    deep = deep_masks(output)
    shallow = output.stages["stage1"].mask_logits
    torch.testing.assert_close(deep + shallow, output.stages["final"].similarity, rtol=1e-4, atol=1e-5)

    masks = held_masks(deep, labels)
    terms = mask_cross_entropy(masks) / len(masks.logits), mask_dice(masks) / len(masks.logits)
    losses = segmentation_losses(output, labels, LossConfig(terms="release", diversity_weight=0.2))
    torch.testing.assert_close(losses.stages, 5 * terms[0] + 2 * terms[1])
    final = cross_entropy(torch.nn.functional.interpolate(output.logits, size=(64, 96), mode="bilinear"), labels)
    torch.testing.assert_close(losses.total, final + losses.stages + 0.2 * output.diversity)
    losses.total.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    for switched, expected in ((5.0, 0.0), 5 * terms[0]), ((0.0, 2.0), 2 * terms[1]), ((0.0, 0.0), 0 * terms[0]):
        loss = release_mask_loss(output, labels, mask_weight=switched[0], dice_weight=switched[1])
        torch.testing.assert_close(loss, expected)


def test_binary_cross_entropy_and_dice_by_hand() -> None:
    """A mask that is sure and right costs nothing; one that is sure and wrong costs its logits, and all of the dice."""
    right = torch.full((1, 2, 1, 2), -30.0)
    right[0, 0, 0, 0] = right[0, 1, 0, 1] = 30.0
    labels = torch.tensor([[[0, 1]]])
    assert mask_cross_entropy(held_masks(right, labels)).item() == pytest.approx(0, abs=1e-6)
    assert mask_dice(held_masks(right, labels)).item() == pytest.approx(0, abs=1e-6)
    wrong = held_masks(-right, labels)
    assert mask_cross_entropy(wrong).item() == pytest.approx(2 * 30)
    assert mask_dice(wrong).item() == pytest.approx(2 * (1 - 1 / 3))


def test_losses_are_for_their_architectures() -> None:
    data = DataConfig("d")  # type: ignore[arg-type]
    with refused("conflicting-options", "--architecture", "segvit", "ecenet"):
        TrainConfig(data, "o", loss=LossConfig(terms="segvit"))  # type: ignore[arg-type]
    with refused("conflicting-options", "--architecture", "ecenet-release", "segvit"):
        TrainConfig(data, "o", architecture="segvit", loss=LossConfig(terms="release"))  # type: ignore[arg-type]
    with refused("out-of-range", "mask_weight", -1.0):
        LossConfig(mask_weight=-1.0)
