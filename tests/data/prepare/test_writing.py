"""What `ecenet data prepare` writes: splits, a call that can be continued, turned photos; bad files by name."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.prepare.check import check
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.write import prepare
from tests.data.prepare.test_image_masks import COLORS, HALVES, THREE, photo, prepared, save, write_colored
from tests.support.helpers import noise_image, write_folder
from tests.support.refusals import refused


def test_the_sources_splits_are_kept(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for split, ours in (("training", 3), ("valid", 2), ("test", 1)):
        for n in range(ours):
            photo(root / split / "images" / f"{n}.jpg")
            save(root / split / "masks" / f"{n}.png", HALVES)
    done, train, val = prepared(root)
    assert (len(train), len(val)) == (3, 2)
    assert list(done.counts) == ["train", "val", "test"]


def test_frames_of_one_film_stay_together(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for film in ("a", "b", "c"):
        for frame in range(4):
            photo(root / "images" / f"{film}_{frame}.jpg")
            save(root / "masks" / f"{film}_{frame}.png", HALVES)
    _, train, val = prepared(root, group="[^_]+", val_share=0.3)
    films = [{path.stem[0] for path in data.images} for data in (train, val)]
    assert not films[0] & films[1]
    assert len(val) == 4


def test_the_same_seed_draws_the_same_photos(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "source", splits=("all",), images=9)
    drawn = []
    for out, seed in (("x", 0), ("y", 0), ("z", 1)):
        prepare(root, tmp_path / out, PrepareOptions(seed=seed))
        drawn.append(sorted(os.listdir(tmp_path / out / "images" / "val")))
    assert drawn[0] == drawn[1] != drawn[2]


def test_originals_stay_and_an_interrupted_call_is_continued(tmp_path: Path) -> None:
    root, out = write_colored(tmp_path / "source"), tmp_path / "out"
    before = {path: path.read_bytes() for path in root.rglob("*.*")}
    prepare(root, out, PrepareOptions())
    (mask, *_) = sorted((out / "masks").rglob("*.png"))
    content, stamp = mask.read_bytes(), mask.stat().st_mtime_ns
    (other,) = sorted((out / "masks").rglob("*.png"))[1:]
    other.unlink()
    prepare(root, out, PrepareOptions())
    assert other.is_file()
    assert (mask.read_bytes(), mask.stat().st_mtime_ns) == (content, stamp)
    assert {path: path.read_bytes() for path in root.rglob("*.*")} == before
    with refused("changed-settings", out):
        prepare(root, out, PrepareOptions(seed=1))
    with refused("name-taken", root / "images"):
        prepare(write_colored(tmp_path / "more"), root / "images", PrepareOptions())
    with refused("invalid-value", root):
        prepare(root, root, PrepareOptions())


def test_bad_files_are_counted_and_three_of_them_are_named(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for n in range(6):
        photo(root / "images" / f"{n}.jpg")
        save(root / "masks" / f"{n}.png", HALVES)
    for n in range(5):
        (root / "masks" / f"{n}.png").write_bytes(b"no picture")
    with refused("several-problems", "5 of 6") as caught:
        check(root, PrepareOptions())
    assert len(str(caught.value).splitlines()) == 4


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    root = write_colored(tmp_path / "source")
    save(root / "masks" / "0.png", COLORS[THREE])
    assert "16×16" in check(root, PrepareOptions()).report()
    with refused("several-problems", "1 of 2", "16×16", "64×64"):
        prepare(root, tmp_path / "out", PrepareOptions())


@pytest.mark.parametrize("square", [True, False])
def test_masks_on_stored_pixels_are_turned_with_their_photo(tmp_path: Path, square: bool) -> None:
    root, size = tmp_path / "source", (16, 16) if square else (16, 24)
    drawn = np.zeros(size, np.uint8)
    drawn[:8] = 1
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter clockwise to be shown: its top is then at the right
    for n in range(2):
        save(root / "images" / f"{n}.jpg", noise_image(size[1], size[0]), exif=exif)
        save(root / "masks" / f"{n}.png", drawn)
    _, train, _ = prepared(root, masks_as_stored=square)
    expected = np.zeros(size[::-1], np.uint8)
    expected[:, 8:] = 1
    assert np.array_equal(train.load(0)[1], expected)


def test_a_folder_that_holds_nothing_known_shows_what_was_expected(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    with refused("data-missing", "COCO", "LabelMe", "1 .jpg"):
        check(tmp_path, PrepareOptions())
    with pytest.raises(UserError):
        check(tmp_path / "nowhere", PrepareOptions())
