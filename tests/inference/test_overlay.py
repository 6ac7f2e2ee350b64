"""Pictures from arrays, against pixels worked out by hand."""

import numpy as np
from PIL import Image

from ecenet.inference.overlay import heat_colors, indexed_mask, overlay, side_by_side, similarity_overlay
from tests.support.predictions import CLASS_COLORS

LABELS = np.array([[0, 1], [2, 2]], dtype=np.uint8)


def test_indexed_mask_keeps_class_indices_and_shows_class_colors() -> None:
    mask = indexed_mask(LABELS, CLASS_COLORS)
    np.testing.assert_array_equal(np.asarray(mask), LABELS)
    assert mask.convert("RGB").getpixel((1, 0)) == tuple(CLASS_COLORS[1])


def test_overlay_mixes_photo_and_class_color_by_opacity() -> None:
    photo = Image.new("RGB", (2, 2), (100, 100, 100))
    assert overlay(photo, LABELS, CLASS_COLORS, opacity=0.0).tobytes() == photo.tobytes()
    assert overlay(photo, LABELS, CLASS_COLORS, opacity=1.0).getpixel((0, 1)) == tuple(CLASS_COLORS[2])
    assert overlay(photo, LABELS, CLASS_COLORS, opacity=0.5).getpixel((1, 0)) == (150, 70, 70)


def test_heat_runs_from_the_dark_to_the_bright_end_and_clips() -> None:
    dark, bright, below, above = heat_colors(np.array([-1.0, 3.0, -9.0, 9.0]), low=-1.0, high=3.0).astype(int)
    assert dark.sum() < bright.sum()
    np.testing.assert_array_equal(below, dark)
    np.testing.assert_array_equal(above, bright)


def test_constant_similarity_map_is_drawn_without_dividing_by_zero() -> None:
    assert heat_colors(np.zeros((2, 2)), low=0.0, high=0.0).shape == (2, 2, 3)


def test_similarity_overlay_keeps_the_photo_s_shape_and_its_own_cells() -> None:
    photo = Image.new("RGB", (960, 480))
    picture = similarity_overlay(photo, np.array([[0.0, 1.0]]), low=0, high=1, max_side=480)
    assert picture.size == (480, 240)
    pixels = np.asarray(picture)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 2, "two cells, two colours: nothing is smoothed"


def test_pictures_stand_side_by_side_with_a_gap() -> None:
    row = np.asarray(side_by_side([Image.new("RGB", (2, 3), "red"), Image.new("RGB", (4, 3), "blue")], gap=1))
    assert row.shape == (3, 7, 3)
    assert row[0].tolist() == [[255, 0, 0]] * 2 + [[255, 255, 255]] + [[0, 0, 255]] * 4
