"""Scores and losses against figures worked out by hand or by another library."""

import numpy as np
import pytest
import sklearn.metrics
import torch
import torch.nn.functional as F
from helpers import small_model

from ecenet.losses import cross_entropy, segmentation_losses, subsample
from ecenet.metrics import confusion_matrix, intersection_over_union, mean_iou, pixel_accuracy

# Rows: target, columns: predicted. Class 3 neither occurs nor is predicted.
BY_HAND = np.array([[5, 1, 0, 0], [2, 3, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_the_confusion_matrix_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 5, (2, 30, 40)).astype(np.uint8)
    ours = confusion_matrix(target, predicted, num_classes=6)
    theirs = sklearn.metrics.confusion_matrix(target.ravel(), predicted.ravel(), labels=range(6))
    assert ours.dtype == np.int64
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(ours, ours.T), "so that swapped axes would be noticed"


def test_the_confusion_matrix_holds_many_classes_of_small_integers() -> None:
    target = np.array([[200, 3]], np.uint8)
    counted = confusion_matrix(target, np.array([[100, 250]], np.uint8), num_classes=254)
    assert (counted[200, 100], counted[3, 250], counted.sum()) == (1, 1, 2)


def test_ignored_pixels_do_not_count_whatever_is_predicted_there() -> None:
    target = np.array([0, 1, 255, 255, 1], np.uint8)
    predicted = np.array([0, 1, 0, 2, 0], np.uint8)
    assert confusion_matrix(target, predicted, num_classes=3).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert confusion_matrix(np.full(9, 255), np.zeros(9, int), num_classes=3).sum() == 0


def test_iou_by_hand() -> None:
    iou = intersection_over_union(BY_HAND)
    assert iou[:3].tolist() == [5 / 8, 3 / 7, 0]
    assert np.isnan(iou[3]), "a class that is nowhere has no score"


def test_the_mean_leaves_out_classes_that_are_nowhere() -> None:
    assert mean_iou(BY_HAND) == pytest.approx((5 / 8 + 3 / 7 + 0) / 3)


def test_the_mean_can_be_restricted_to_the_first_classes() -> None:
    assert mean_iou(BY_HAND, classes=2) == pytest.approx((5 / 8 + 3 / 7) / 2)
    assert mean_iou(BY_HAND, classes=1) == 5 / 8
    assert mean_iou(BY_HAND, classes=4) == mean_iou(BY_HAND)


def test_pixel_accuracy_by_hand() -> None:
    assert pixel_accuracy(BY_HAND) == 8 / 12


@pytest.mark.filterwarnings("error")
def test_nothing_labelled_scores_nan_without_a_warning() -> None:
    nothing = np.zeros((3, 3), int)
    assert np.isnan(mean_iou(nothing))
    assert np.isnan(mean_iou(BY_HAND[2:, 2:], classes=1))
    assert np.isnan(pixel_accuracy(nothing))


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
    losses = segmentation_losses(output, labels, stage_weight=0.3, diversity_weight=0.1)

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
