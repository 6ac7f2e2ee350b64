"""Nearest reference embeddings and the kinds of a class, in two dimensions."""

import numpy as np
import pytest

from ecenet.analysis.embeddings.reference import nearest_reference, sub_clusters
from tests.support.hand_banks import EAST, LONG_EAST, NORTH, WEST, make_bank
from tests.support.refusals import refused

BANK = make_bank(
    [
        (0, "stage1", 0, 0.5, 1.0, LONG_EAST),
        (0, "stage1", 1, 0.5, 1.0, NORTH),
        (1, "stage1", 0, 0.001, 1.0, EAST),  # too small
        (2, "stage1", 2, 0.5, 1.0, WEST),
        (2, "stage2", 2, 0.5, 1.0, EAST),  # another stage
    ]
)


def test_the_nearest_come_first_whatever_their_class_and_length() -> None:
    rows, distances = nearest_reference(BANK, np.array([2.0, 0.0]), stage="stage1", count=2, min_area=0.01)
    assert rows.tolist() == [0, 1]
    assert distances.tolist() == pytest.approx([0, 1])
    rows, distances = nearest_reference(BANK, np.array(WEST), stage="stage1", count=9, min_area=0.01)
    assert rows.tolist() == [3, 1, 0]
    assert distances.tolist() == pytest.approx([0, 1, 2])
    rows, _ = nearest_reference(BANK, np.array(EAST), stage="stage1", count=9, min_area=0)
    assert rows.tolist() == [0, 2, 1, 3], "of equally near ones the first"
    assert len(nearest_reference(BANK, np.array(EAST), stage="ece", count=9, min_area=0)[0]) == 0


KINDS = make_bank(
    [
        (0, "stage1", 1, 0.5, 1.0, [1.0, 0.2]),
        (1, "stage1", 1, 0.5, 1.0, [1.0, 0.0]),
        (2, "stage1", 1, 0.5, 1.0, [7.0, -1.4]),
        (3, "stage1", 1, 0.5, 1.0, [-1.0, 0.1]),
        (4, "stage1", 1, 0.5, 1.0, [-1.0, -0.1]),
        (5, "stage1", 2, 0.5, 1.0, NORTH),  # another class
    ]
)


def test_kinds_are_directions_and_their_medoids_lie_in_the_middle() -> None:
    found = sub_clusters(KINDS, 1, stage="stage1", count=2, min_area=0.01)
    east, west = found.clusters
    assert (east.rows.tolist(), west.rows.tolist()) == ([0, 1, 2], [3, 4])
    assert east.medoid == 1
    assert east.centroid.tolist() == pytest.approx([1, 0], abs=1e-6)
    # Two of three lie off by the angle whose tangent is 0.2.
    assert east.spread == pytest.approx(2 / 3 * (1 - 1 / 1.04**0.5), abs=1e-6)
    assert found.silhouette is not None
    assert found.silhouette > 0.9
    assert found.nearest(np.array([3.0, 1.0])) == 0
    assert found.nearest(np.array([-3.0, 1.0])) == 1


def test_one_cluster_holds_all_and_as_many_as_rows_one_each() -> None:
    whole = sub_clusters(KINDS, 1, stage="stage1", count=1, min_area=0.01)
    assert whole.clusters[0].rows.tolist() == [0, 1, 2, 3, 4]
    assert whole.silhouette is None
    single = sub_clusters(KINDS, 1, stage="stage1", count=5, min_area=0.01)
    assert [(one.rows.tolist(), one.medoid) for one in single.clusters] == [([row], row) for row in range(5)]
    assert single.silhouette is None
    assert sum(one.spread for one in single.clusters) == pytest.approx(0, abs=1e-6)


def test_more_clusters_than_embeddings_are_refused() -> None:
    with refused("out-of-range", "1 … 5", 6):
        sub_clusters(KINDS, 1, stage="stage1", count=6, min_area=0.01)
    with refused("out-of-range", "choose another class"):
        sub_clusters(KINDS, 0, stage="stage1", count=1, min_area=0.01)
    with refused("out-of-range"):
        sub_clusters(KINDS, 1, stage="stage1", count=0, min_area=0.01)
