"""Whether embeddings keep their class: purity, silhouette and linear read-out, by hand and on made-up clusters."""

import numpy as np
import pytest

from ecenet.evaluation import embedding_quality as module
from ecenet.evaluation.bank import bank_quality
from ecenet.evaluation.embedding_quality import (
    class_silhouette,
    embedding_quality,
    linear_readout,
    neighbour_purity,
    quality_table,
    stage_quality,
)
from tests.support.hand_banks import EAST, LONG_EAST, NORTH, WEST, make_bank

UNIT = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], dtype=np.float32)
"""At 0, 37, 53 and 90 degrees."""


def clusters(*, photos: int = 12, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings far apart by class, one of each class in each photo; classes and photos."""
    rng = np.random.default_rng(seed)
    class_index = np.tile(np.arange(classes), photos)
    centres = np.eye(classes, 8) * 10
    return (
        centres[class_index] + rng.normal(0, 0.01, (len(class_index), 8)),
        class_index,
        np.repeat(np.arange(photos), classes),
    )


def test_purity_by_hand() -> None:
    classes, photos = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    # 0° is nearest to 37° (0), 37° to 53° (1), 53° to 37° (0), 90° to 53° (1).
    assert neighbour_purity(UNIT, classes, photos) == 0.5


def test_a_neighbour_of_the_same_photo_does_not_count() -> None:
    classes, photos = np.array([0, 1, 1, 0]), np.array([0, 1, 1, 1])
    # 0° finds 37° (1); the others, all of one photo, find 0° alone (0): right for 90° only.
    assert neighbour_purity(UNIT, classes, photos) == 0.25
    assert np.isnan(neighbour_purity(UNIT, classes, np.zeros(4, int))), "a single photo has no other"


def test_lengths_do_not_count() -> None:
    embedding = np.array([EAST, LONG_EAST, NORTH, NORTH])
    found = stage_quality(embedding, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    assert (found.purity, found.silhouette, found.rows, found.classes) == (1, pytest.approx(1), 4, 2)


def test_silhouette_by_hand() -> None:
    # Cosine distances: within a class 0, to the other class 1; the third row of class 0 lies at 1 from its own and at 0
    # from class 1's.
    unit = np.array([EAST, EAST, NORTH, NORTH, NORTH], dtype=np.float32)
    classes = np.array([0, 0, 0, 1, 1])
    # Own 0.5, other 1: 0.5, twice. Own 1, other 0: −1. Own 0, other (1 + 1 + 0) / 3: 1, twice.
    assert class_silhouette(unit, classes) == pytest.approx((0.5 + 0.5 - 1 + 1 + 1) / 5)
    assert np.isnan(class_silhouette(unit, np.zeros(5, int)))
    assert np.isnan(class_silhouette(unit[:2], np.array([0, 1])))


def test_perfect_clusters_are_perfect() -> None:
    found = stage_quality(*clusters())
    assert (found.purity, found.linear) == (1, 1)
    assert found.silhouette == pytest.approx(1, abs=1e-4)
    assert (found.rows, found.classes) == (48, 4)


def test_shuffled_labels_are_chance() -> None:
    embedding, classes, photos = clusters(photos=200)
    shuffled = np.random.default_rng(1).permutation(classes)
    found = stage_quality(embedding, shuffled, photos)
    assert found.purity == pytest.approx(0.25, abs=0.07)
    assert found.linear == pytest.approx(0.25, abs=0.07)
    assert found.silhouette == pytest.approx(0, abs=0.05)
    assert found == stage_quality(embedding, shuffled, photos), "the same every time"


def test_the_read_out_never_sees_the_photo_that_it_reads() -> None:
    # What tells the class is the photo's own code: each photo holds one class, and nothing is common to two photos.
    photos = np.repeat(np.arange(40), 5)
    classes = np.random.default_rng(0).integers(0, 2, 40)[photos]
    codes = np.eye(40)[photos]
    assert linear_readout(codes, classes, photos) < 0.75
    assert linear_readout(codes, classes, np.arange(200)) == 1, "as it would seem without the photos"


@pytest.mark.parametrize(
    ("classes", "photos"),
    [([0, 0, 1, 1], [0, 0, 0, 0]), ([0, 0, 0, 0], [0, 1, 2, 3]), ([0, 1, 2, 3], [0, 1, 2, 3])],
)
def test_where_nothing_can_be_read_out_there_is_no_figure(classes: list[int], photos: list[int]) -> None:
    assert np.isnan(linear_readout(UNIT, np.array(classes), np.array(photos)))


def test_few_photos_are_read_out_without_complaint(recwarn: pytest.WarningsRecorder) -> None:
    assert linear_readout(UNIT, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) in (0, 0.25, 0.5, 0.75, 1)
    assert not [one for one in recwarn if "populated" in str(one.message)]


def test_small_and_wrong_masks_and_classes_of_one_photo_are_left_out() -> None:
    bank = make_bank(
        [
            (0, "ece", 0, 0.5, 0.9, EAST),
            (1, "ece", 0, 0.005, 0.5, EAST),
            (0, "ece", 1, 0.4, 0.9, NORTH),
            (1, "ece", 1, 0.4, 0.9, NORTH),
            (2, "ece", 1, 0.004, 0.9, EAST),  # too small
            (3, "ece", 1, 0.4, 0.49, EAST),  # wrong
            (4, "ece", 0, 0.4, float("nan"), NORTH),  # not labelled
            (2, "ece", 2, 0.4, 0.9, EAST),  # alone of its class
            (0, "stage1", 0, 0.5, 0.9, WEST),
        ]
    )
    found = bank_quality(bank)
    assert list(found) == ["ece", "stage1"]
    assert (found["ece"].purity, found["ece"].rows, found["ece"].classes) == (1, 4, 2)
    assert (found["stage1"].rows, found["stage1"].classes) == (0, 0)
    assert np.isnan(found["stage1"].purity)
    assert np.isnan(found["stage1"].linear)


def test_each_stage_is_measured_alone() -> None:
    embedding, classes, photos = clusters()
    stage = np.array(["ece"] * 48 + ["stage1"] * 48)
    fine = np.ones(96)
    both = np.concatenate([embedding, np.random.default_rng(0).normal(size=embedding.shape)])
    found = embedding_quality(
        stages=["ece", "stage1"],
        stage=stage,
        image=np.tile(photos, 2),
        class_index=np.tile(classes, 2),
        area=fine,
        iou=fine,
        embedding=both,
    )
    assert found["ece"] == stage_quality(embedding, classes, photos)
    assert found["stage1"].purity < 0.6
    assert quality_table(found).splitlines()[2].startswith("| ece | 1.000 | 1.000 | 1.000 | 48 | 4 |")


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(50, 4)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    classes, photos = rng.integers(0, 3, 50), rng.integers(0, 9, 50)
    whole = neighbour_purity(unit, classes, photos)
    monkeypatch.setattr(module, "CHUNK_ENTRIES", 350)
    assert neighbour_purity(unit, classes, photos) == whole
