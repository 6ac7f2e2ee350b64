"""Painted regions as shares of cells."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.analysis.interventions.regions import cell_shares, read_region, region_weights
from ecenet.common.error_codes import ErrorCode
from tests.support.refusals import refused


def region(width: int, height: int, rows: slice, columns: slice) -> np.ndarray:
    painted = np.zeros((height, width), dtype=bool)
    painted[rows, columns] = True
    return painted


def test_each_cell_has_the_share_of_its_pixels_that_is_painted() -> None:
    # Cells of 4×4 pixels: the first is covered, the second to a half, the one below the first to a quarter.
    painted = region(8, 8, slice(0, 5), slice(0, 4)) | region(8, 8, slice(0, 4), slice(0, 6))
    cells = region_weights(painted, size=(8, 8), grid=(2, 2))
    assert cells.weights.tolist() == [[1, 0.5], [0.25, 0]]
    assert cells.weights.dtype == np.float32
    assert not cells.enlarged


def test_pixels_that_cells_share_count_in_part() -> None:
    # Three pixels over two cells: the middle one belongs to both by halves.
    pixels = np.array([[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(cell_shares(pixels, grid=(1, 2)), [[1 / 3, 1 / 3]], rtol=1e-6)
    np.testing.assert_allclose(cell_shares(pixels, grid=(1, 1)), [[1 / 3]], rtol=1e-6)


def test_a_grid_finer_than_the_photo_repeats_its_pixels() -> None:
    pixels = np.array([[0.0, 1.0]])
    assert cell_shares(pixels, grid=(2, 4)).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize(("size", "grid"), [((97, 61), (4, 7)), ((480, 360), (23, 30)), ((5, 3), (8, 8))])
def test_shares_keep_the_painted_area(size: tuple[int, int], grid: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).random(size[::-1])
    shares = cell_shares(pixels, grid=grid)
    assert shares.shape == grid
    assert shares.mean() == pytest.approx(pixels.mean())
    assert (cell_shares(np.ones_like(pixels), grid=grid) == 1).all()


def test_a_region_smaller_than_a_cell_is_enlarged_to_those_it_touches() -> None:
    inside = region_weights(region(8, 8, slice(5, 6), slice(5, 6)), size=(8, 8), grid=(2, 2))
    assert inside.weights.tolist() == [[0, 0], [0, 1]]
    assert inside.enlarged
    between = region_weights(region(8, 8, slice(1, 2), slice(3, 5)), size=(8, 8), grid=(2, 2))
    assert between.weights.tolist() == [[1, 1], [0, 0]]
    assert between.enlarged


def test_a_region_of_one_whole_cell_is_not_enlarged() -> None:
    # A third is no binary number, so that the share is 1 but for rounding.
    cells = region_weights(region(9, 9, slice(3, 6), slice(6, 9)), size=(9, 9), grid=(3, 3))
    assert not cells.enlarged
    assert cells.weights[1, 2] == pytest.approx(1)


def test_the_whole_photo_covers_every_cell() -> None:
    assert (region_weights(np.ones((61, 97), dtype=bool), size=(97, 61), grid=(4, 7)).weights > 0.999999).all()


def test_a_region_of_another_photo_or_of_nothing_is_refused() -> None:
    with refused("size-mismatch", "region", "97×61", "61×97", expected=(97, 61), got=(61, 97)):
        region_weights(np.ones((97, 61), dtype=bool), size=(97, 61), grid=(4, 7))
    with refused("empty-region"):
        region_weights(np.zeros((61, 97), dtype=bool), size=(97, 61), grid=(4, 7))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_a_region_is_what_is_not_zero_in_a_picture_of_any_kind(tmp_path: Path, mode: str) -> None:
    painted = region(12, 8, slice(1, 4), slice(2, 9))
    picture = Image.fromarray(painted.astype(np.uint8) * (3 if mode == "P" else 255))
    if mode == "P":
        picture.putpalette([0, 0, 0] * 256)  # its indices count, not its colours
    picture.convert(mode).save(tmp_path / "region.png")
    np.testing.assert_array_equal(read_region(tmp_path / "region.png", size=(12, 8)), painted)
    assert read_region(tmp_path / "region.png", size=(24, 16)).sum() == 4 * painted.sum(), "the photo may be scaled"


def test_what_is_see_through_is_no_region(tmp_path: Path) -> None:
    painted = region(12, 8, slice(1, 4), slice(2, 9))
    pixels = np.full((8, 12, 4), 255, dtype=np.uint8)
    pixels[..., 3] = painted * 200
    Image.fromarray(pixels).save(tmp_path / "region.png")
    np.testing.assert_array_equal(read_region(tmp_path / "region.png", size=(12, 8)), painted)


def test_what_is_no_region_of_this_photo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "region.png"
    Image.new("L", (12, 8), 1).save(path)
    with refused("size-mismatch", "8×12", "region.png", "12×8", expected=(8, 12), got=(12, 8)):
        read_region(path, size=(8, 12))
    contents: tuple[tuple[ErrorCode, bytes], ...] = (
        ("wrong-file", b"no picture"),
        ("file-damaged", path.read_bytes()[:50]),
    )
    for code, content in contents:
        path.write_bytes(content)
        with refused(code, "region.png") as caught:
            read_region(path, size=(12, 8))
        assert str(tmp_path) not in str(caught.value)
