"""Losses, worked out by hand or against another library."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.training.config import LossConfig, StageLoss
from ecenet.training.losses.segmentation import (
    balanced_class_weights,
    class_presence_loss,
    cross_entropy,
    dice,
    lovasz_softmax,
    segmentation_losses,
    share_labelled,
    subsample,
)
from tests.support.helpers import small_model


def logits_for(probabilities: list[list[float]]) -> Tensor:
    """One row of pixels: (pixels, K) probabilities → (1, K, 1, pixels) logits."""
    return torch.tensor(probabilities).log().T[None, :, None, :]


def test_the_hardest_share_of_each_image_counts() -> None:
    logits = logits_for([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.7, 0.3]])
    labels = torch.zeros(1, 1, 4, dtype=torch.long)
    expected = -(math.log(0.5) + math.log(0.2)) / 2
    assert cross_entropy(logits, labels, hard_pixels=0.5).item() == pytest.approx(expected)
    assert cross_entropy(logits, labels, hard_pixels=0.01).item() == pytest.approx(-math.log(0.2)), "at least one"


def test_focal_loss_spares_what_is_known_already() -> None:
    logits = logits_for([[0.9, 0.1], [0.5, 0.5]])
    labels = torch.zeros(1, 1, 2, dtype=torch.long)
    expected = -(0.1**2 * math.log(0.9) + 0.5**2 * math.log(0.5)) / 2
    assert cross_entropy(logits, labels, focal_power=2.0).item() == pytest.approx(expected)
    labels[0, 0, 0] = 255
    assert cross_entropy(logits, labels, focal_power=2.0).item() == pytest.approx(-(0.5**2) * math.log(0.5))


def test_class_weights_multiply_the_loss_of_their_pixels() -> None:
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    weights = torch.tensor([1.0, 2.0, 5.0])
    expected = (F.cross_entropy(logits, labels, reduction="none") * weights[labels]).mean()
    torch.testing.assert_close(cross_entropy(logits, labels, class_weights=weights), expected)


@pytest.mark.parametrize(
    ("balance", "expected"),
    [(0.0, [1.0, 1.0, 1.0]), (1.0, [1 / (3 * 0.64), 1 / (3 * 0.32), 1 / (3 * 0.04)]), (0.5, None)],
)
def test_balanced_weights_have_a_mean_of_one_over_the_pixels(balance: float, expected: list[float] | None) -> None:
    pixels = torch.tensor([64, 32, 4])
    weights = balanced_class_weights(pixels, balance=balance)
    assert float((weights * pixels / 100).sum()) == pytest.approx(1)
    if expected:
        assert weights.tolist() == pytest.approx(expected)
    else:
        assert (weights[2] / weights[0]).item() == pytest.approx(4), "(64/4)^½"


def test_a_class_that_never_occurs_gets_the_largest_weight_and_no_infinity() -> None:
    weights = balanced_class_weights(torch.tensor([90, 0, 10]), balance=1.0)
    assert weights[1] == weights[2]
    assert torch.isfinite(weights).all()


def test_dice_of_a_perfect_mask_is_zero_and_of_a_missed_one_is_almost_one() -> None:
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    labels[0, :, 5:] = 1
    perfect = F.one_hot(labels, 3).permute(0, 3, 1, 2) * 100.0
    assert dice(perfect, labels).item() == pytest.approx(0, abs=1e-6)
    assert dice(perfect.flip(-1), labels).item() == pytest.approx(1 - 1 / 101), "each class: (0 + 1) / (50 + 50 + 1)"
    labels[0, :, :5] = 255
    assert dice(perfect.flip(-1), labels).item() == pytest.approx(1 - 1 / 51), "only what is labelled counts"
    labels[:] = 255
    assert dice(perfect, labels) == 0


def test_presence_asks_for_each_class_once_an_image() -> None:
    logits = logits_for([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    labels = torch.tensor([[[0, 0]]])
    expected = -(math.log(0.6) + math.log(1 - 0.7) + math.log(1 - 0.1)) / 3
    assert class_presence_loss(logits, labels).item() == pytest.approx(expected)
    labels[0, 0, 1] = 255
    expected = -(math.log(0.6) + math.log(1 - 0.3) + math.log(1 - 0.1)) / 3
    assert class_presence_loss(logits, labels).item() == pytest.approx(expected), "what is not labelled asks nothing"


def test_of_a_map_without_doubt_lovasz_softmax_is_one_minus_the_mean_iou() -> None:
    labels = torch.tensor([[[0, 0, 1, 1, 255]]])
    predicted = F.one_hot(torch.tensor([[[0, 1, 1, 1, 2]]]), 3).permute(0, 3, 1, 2) * 100.0
    assert lovasz_softmax(predicted, labels).item() == pytest.approx(((1 - 1 / 2) + (1 - 2 / 3)) / 2)
    perfect = F.one_hot(labels.where(labels < 3, 2), 3).permute(0, 3, 1, 2) * 100.0
    assert lovasz_softmax(perfect, labels).item() == pytest.approx(0)
    assert lovasz_softmax(predicted, torch.full_like(labels, 255)) == 0


def test_lovasz_softmax_weighs_errors_by_what_they_take_from_the_iou() -> None:
    logits = logits_for([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7]])
    labels = torch.tensor([[[0, 0, 1]]])
    # Class 0, errors 0.5, 0.3, 0.1: were they wrong one after the other, its IoU would fall from 1 to 1/2, 1/3, 0.
    of_0 = 0.5 * (1 / 2) + 0.3 * (1 / 2 - 1 / 3) + 0.1 * (1 / 3)
    # Class 1, the same errors: from 1 to 1/2, to 0, and no further.
    of_1 = 0.5 * (1 / 2) + 0.3 * (1 / 2)
    assert lovasz_softmax(logits, labels).item() == pytest.approx((of_0 + of_1) / 2)


def test_lovasz_softmax_is_a_mean_over_images() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 4, 6, 5), torch.randint(4, (3, 6, 5))
    each = torch.stack([lovasz_softmax(logits[i : i + 1], labels[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(lovasz_softmax(logits, labels), each.mean())


@pytest.mark.parametrize("stage_loss", ["cross_entropy", "dice_focal"])
def test_parts_of_a_batch_add_up_to_the_whole(stage_loss: StageLoss) -> None:
    """The share of labelled pixels belongs to the batch: a part with few must not weigh more."""
    model = small_model().train()
    model.backbone.eval()
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 64, 64), torch.randint(3, (4, 64, 64))
    labels[0, :60] = 255
    labels[1, :, :20] = 255
    config = LossConfig(presence_weight=0.2, jaccard_weight=0.4, hard_pixels=0.5, stage_loss=stage_loss)
    weights = torch.tensor([0.5, 1.0, 2.0])
    whole = segmentation_losses(model(images), labels, config, class_weights=weights)
    share = share_labelled(labels)
    parts = [
        segmentation_losses(
            model(images[i : i + 2]), labels[i : i + 2], config, class_weights=weights, labelled_share=share
        )
        for i in (0, 2)
    ]
    for name, value in whole._asdict().items():
        torch.testing.assert_close(sum(getattr(part, name) for part in parts) / 2, value, msg=name)
    assert whole.presence > 0
    assert whole.jaccard > 0
    parts_of_total = whole.final + 0.3 * whole.stages + 0.2 * whole.presence + 0.4 * whole.jaccard
    torch.testing.assert_close(whole.total, parts_of_total + 0.1 * whole.diversity)


def test_of_another_decoders_logits_the_losses_that_need_no_more_are_computed() -> None:
    torch.manual_seed(0)
    output, labels = small_model()(torch.randn(2, 3, 64, 64)), torch.randint(3, (2, 64, 64))
    config = LossConfig(presence_weight=0.2, jaccard_weight=0.4, contrast_weight=1.0, hard_pixels=0.5)
    ours = segmentation_losses(output, labels, config)
    others = segmentation_losses(output.logits, labels, config)
    assert (others.final, others.presence, others.jaccard) == (ours.final, ours.presence, ours.jaccard)
    assert others.stages == others.diversity == others.contrast == 0
    torch.testing.assert_close(others.total, ours.final + 0.2 * ours.presence + 0.4 * ours.jaccard)


@pytest.mark.parametrize(
    "config",
    [
        LossConfig(stage_loss="dice_focal"),
        LossConfig(presence_weight=1.0),
        LossConfig(jaccard_weight=1.0),
        LossConfig(contrast_weight=1.0),
        LossConfig(hard_pixels=0.3),
    ],
    ids=str,
)
def test_every_loss_reaches_the_mask_head(config: LossConfig) -> None:
    model = small_model().train()
    output = model(torch.randn(2, 3, 64, 64))
    labels = torch.randint(3, (2, 64, 64))
    segmentation_losses(output, labels, config).total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_label_stride_asks_the_final_map_at_every_other_pixel() -> None:
    labels = torch.randint(3, (1, 8, 8)).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    logits = torch.randn(1, 3, 8, 8)
    config = LossConfig(label_stride=2, stage_weight=0, diversity_weight=0)
    final = segmentation_losses(logits, labels, config).final
    torch.testing.assert_close(final, F.cross_entropy(logits, labels[:, ::2, ::2]))


def test_cross_entropy_is_the_mean_over_labelled_pixels() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 5, 6), torch.randint(4, (2, 5, 6))
    torch.testing.assert_close(cross_entropy(logits, labels), F.cross_entropy(logits, labels))
    labels[0, :3] = 255
    torch.testing.assert_close(cross_entropy(logits, labels), F.cross_entropy(logits, labels, ignore_index=255))


def test_cross_entropy_of_nothing_labelled_is_zero_with_zero_gradient() -> None:
    logits = torch.randn(1, 4, 5, 6, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 5, 6), 255))
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_cross_entropy_of_half_precision_logits_is_computed_in_single() -> None:
    logits, labels = torch.randn(1, 4, 50, 60).bfloat16(), torch.randint(4, (1, 50, 60))
    assert cross_entropy(logits, labels) == cross_entropy(logits.float(), labels)


def test_subsampling_takes_the_label_at_each_cells_centre() -> None:
    labels = torch.arange(36).reshape(1, 6, 6)
    assert subsample(labels, (2, 2)).tolist() == [[[7, 10], [25, 28]]]
    assert subsample(labels, (6, 6)).equal(labels)
    marked = torch.zeros(1, 8, 8, dtype=torch.long)
    marked[0, 2::4, 2::4] = 255
    assert (subsample(marked, (2, 2)) == 255).all(), "of an even cell the pixel after the centre; never a mixture"


def test_the_total_is_the_weighted_sum_of_its_parts() -> None:
    model = small_model().train()
    torch.manual_seed(0)
    output = model(torch.randn(2, 3, 64, 64))
    labels = torch.randint(3, (2, 64, 64))
    labels[:, :10] = 255
    losses = segmentation_losses(output, labels, LossConfig())

    upsampled = F.interpolate(output.logits, size=(64, 64), mode="bilinear")
    torch.testing.assert_close(losses.final, F.cross_entropy(upsampled, labels, ignore_index=255))
    share = (labels != 255).float().mean()
    stages = sum(
        cross_entropy(stage.mask_logits, subsample(labels, stage.mask_logits.shape[-2:]), labelled_share=share)
        for stage in list(output.stages.values())[:-1]
    )
    torch.testing.assert_close(losses.stages, stages)
    assert losses.diversity > 0
    torch.testing.assert_close(losses.total, losses.final + 0.3 * losses.stages + 0.1 * losses.diversity)
