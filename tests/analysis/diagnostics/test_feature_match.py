"""Finding a place of one photo in another by its features."""

import numpy as np
import pytest
import torch

from ecenet.analysis.diagnostics.feature_match import best_match, box_vectors, cosine_map, place_vectors


def test_a_place_between_cells_has_what_lies_between_and_length_one() -> None:
    features = torch.tensor([[[[2.0, 0.0]], [[0.0, 4.0]]]])  # two cells side by side
    (left,) = place_vectors([features], (0.25, 0.5))  # the first cell's centre
    assert left.tolist() == pytest.approx([1, 0])
    (middle,) = place_vectors([features], (0.5, 0.5))
    assert middle.tolist() == pytest.approx([1 / 5**0.5, 2 / 5**0.5])


def test_a_box_has_the_mean_direction_of_what_it_holds_however_long_the_features_are() -> None:
    features = torch.zeros(1, 2, 1, 4)
    features[0, 0, 0, :2], features[0, 1, 0, 2:] = 9, 1  # the left half one way, far longer; the right half another
    (left,) = box_vectors([features], (0, 0), (0.25, 1))
    assert left.tolist() == pytest.approx([1, 0])
    (both,) = box_vectors([features], (1, 1), (0, 0))  # any two opposite corners
    # Columns 0.25 and 0.75 of the way from the one to the other: (6.75, 0.25) and (2.25, 0.75), at length 1; three more
    # on either side.
    total = np.array([3 + 0.9993 + 0.9487, 3 + 0.0370 + 0.3162])
    assert both.tolist() == pytest.approx(total / np.linalg.norm(total), abs=1e-3)
    features[0, 0, 0, :2] = 1
    (even,) = box_vectors([features], (0, 0), (1, 1))
    assert even.tolist() == pytest.approx([0.5**0.5, 0.5**0.5])


def test_a_box_of_one_place_is_that_place() -> None:
    features = torch.randn(1, 5, 6, 7, generator=torch.Generator().manual_seed(1))
    (place,), (box,) = place_vectors([features], (0.3, 0.8)), box_vectors([features], (0.3, 0.8), (0.3, 0.8))
    torch.testing.assert_close(place, box)


def test_similarity_is_the_mean_cosine_of_all_kinds_of_features_on_the_finest_grid() -> None:
    fine = torch.tensor([[[[1.0, 0.0], [0.0, -3.0]], [[0.0, 2.0], [0.0, 0.0]]]])  # the third cell is nothing
    coarse = torch.tensor([[[[5.0]], [[5.0]]]])
    one, two = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
    expected = (np.array([[1, 0], [0, -1]]) + 1 / 2**0.5) / 2
    np.testing.assert_allclose(cosine_map([fine, coarse], [one, two]), expected, atol=1e-6)


def test_the_best_match_is_the_middle_of_its_cell_in_the_photo() -> None:
    similarity = np.array([[0.1, 0.2, 0.3], [0.0, 0.9, -1.0]], dtype=np.float32)
    assert best_match(similarity, (300, 100)) == (150, 75, pytest.approx(0.9))


def test_a_shifted_part_of_the_same_features_is_found_where_it_went() -> None:
    features = torch.randn(1, 8, 12, 16, generator=torch.Generator().manual_seed(0))
    moved = features.roll((2, -3), dims=(2, 3))
    vectors = place_vectors([features], ((7 + 0.5) / 16, (5 + 0.5) / 12))
    x, y, cosine = best_match(cosine_map([moved], vectors), (160, 120))
    assert (x, y) == (45, 75)
    assert cosine == pytest.approx(1, abs=1e-5)
