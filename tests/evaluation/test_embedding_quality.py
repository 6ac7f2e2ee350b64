"""What embeddings know of their class and of their mask's area and place, by hand and on made-up clusters."""

import numpy as np
import pytest

from ecenet.evaluation import embedding_quality as module
from ecenet.evaluation.bank import bank_quality
from ecenet.evaluation.embedding_quality import (
    class_silhouette,
    embedding_layout,
    embedding_quality,
    linear_readout,
    neighbour_purity,
    quality_table,
    regression_readout,
    stage_layout,
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


def test_a_regression_by_hand() -> None:
    # Two photos, each fitted to the other. In each, −1 and 1 tell −1 and 1; ridge with α = 1 finds the slope
    # Σxy / (Σx² + 1) = 2/3, so that every answer is off by 1/3: R² = 1 − (4 · 1/9) / 4.
    inputs, photos = np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.array([0, 0, 1, 1])
    assert regression_readout(inputs, inputs, photos) == pytest.approx(8 / 9)
    # One photo's truth is the other's reversed: answers of ∓2/3 are off by 5/3. R² = 1 − (4 · 25/9) / 4.
    reversed_ = inputs * np.array([[1], [1], [-1], [-1]])
    assert regression_readout(inputs, reversed_, photos) == pytest.approx(1 - 25 / 9)
    both = regression_readout(inputs, np.concatenate([inputs, reversed_], axis=1), photos)
    assert both == pytest.approx((8 / 9 + 1 - 25 / 9) / 2), "the mean over targets"
    # Other units of what is read or told do not count.
    assert regression_readout(7 * inputs + 3, 5 * inputs - 2, photos) == pytest.approx(8 / 9)


def test_where_nothing_varies_or_no_other_photo_is_there_is_no_regression() -> None:
    inputs = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    assert np.isnan(regression_readout(inputs, inputs, np.zeros(4)))
    assert np.isnan(regression_readout(inputs, np.ones((4, 1)), np.array([0, 0, 1, 1])))
    assert np.isnan(regression_readout(np.zeros((0, 2)), np.zeros((0, 1)), np.zeros(0)))


def test_the_regression_never_sees_the_photo_that_it_reads() -> None:
    photos = np.repeat(np.arange(40), 5)
    targets = np.random.default_rng(0).normal(size=(40, 1))[photos]
    codes = np.eye(40)[photos]
    assert regression_readout(codes, targets, photos) < 0.1
    assert regression_readout(codes, targets, np.arange(200)) > 0.9, "as it would seem without the photos"


def test_area_and_position_are_told_where_embeddings_hold_them_and_as_far_as_the_class_does() -> None:
    rng = np.random.default_rng(0)
    photos, classes = np.repeat(np.arange(50), 4), np.tile(np.arange(4), 50)
    # The class decides the mask's height in the photo but for a little, and nothing else.
    centre = np.stack([rng.uniform(0, 1, 200), classes / 4 + rng.normal(0, 0.01, 200)], axis=1)
    area = np.exp(rng.uniform(np.log(0.005), 0, 200))
    knows_all = np.concatenate([np.log(area)[:, None], centre, rng.normal(0, 1, (200, 5))], axis=1)
    knows_class = np.eye(4)[classes] + rng.normal(0, 0.01, (200, 4))
    found = stage_layout(knows_all, classes, photos, area=area, centre=centre)
    assert min(found.area, found.position) > 0.99
    assert found.rows == 200
    blind = stage_layout(knows_class, classes, photos, area=area, centre=centre)
    assert blind.area == pytest.approx(0, abs=0.1)
    assert blind.position == pytest.approx(0.5, abs=0.1), "y, but not x"
    assert (blind.class_area, blind.class_position) == pytest.approx((blind.area, blind.position), abs=0.05)
    assert (found.class_area, found.class_position) == (blind.class_area, blind.class_position)


def test_layout_is_that_of_large_and_right_masks_of_each_stage() -> None:
    rng = np.random.default_rng(0)
    embedding, classes, photos = clusters()
    area, centre = rng.uniform(0.1, 0.5, 48), rng.uniform(0, 1, (48, 2))
    alone = stage_layout(embedding, classes, photos, area=area, centre=centre)
    found = embedding_layout(
        stages=["ece", "stage1"],
        stage=np.array(["ece"] * 96 + ["stage1"] * 48),
        image=np.tile(photos, 3),
        class_index=np.tile(classes, 3),
        area=np.concatenate([area, np.full(48, 0.001), area]),
        iou=np.concatenate([np.full(96, 0.5), np.full(48, 0.1)]),
        embedding=np.tile(embedding, (3, 1)),
        centre=np.tile(centre, (3, 1)),
    )
    assert found["ece"] == alone
    assert found["stage1"].rows == 0
    assert np.isnan(found["stage1"].area)
    table = quality_table({"ece": stage_quality(embedding, classes, photos)}, found).splitlines()
    assert table[0].endswith("| R² of area | R² of position |")
    assert table[2].endswith(f"| 48 | 4 | {alone.area:.3f} | {alone.position:.3f} |")
