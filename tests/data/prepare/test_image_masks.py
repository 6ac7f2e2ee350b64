"""Photos with mask files, as people have them: how pairs are found, and what values and colours become."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.check import check
from ecenet.data.prepare.formats.image_pairs import find_pairs
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.write import Prepared, prepare
from ecenet.data.split import LabelledSplit
from ecenet.training.config import DataConfig
from ecenet.training.setup import read_splits
from tests.support.helpers import noise_image
from tests.support.refusals import refused

SIDE = 16
HALVES = np.repeat(np.array([0, 1], np.uint8), SIDE // 2)[:, None] * np.ones(SIDE, np.uint8)
"""(16, 16): class 0 above, 1 below."""
THREE = np.repeat([0, 1, 2], [6, 6, 4])[:, None] * np.ones(SIDE, int)
COLORS = np.array([[0, 0, 0], [200, 30, 30], [20, 180, 240]], np.uint8)


def save(path: Path, pixels: np.ndarray | Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)


def photo(path: Path) -> None:
    save(path, noise_image(SIDE, SIDE, seed=len(path.name)))


def prepared(root: Path, **options: Any) -> tuple[Prepared, LabelledSplit, LabelledSplit]:
    """What `prepare` says, and both splits as training reads them."""
    out = root.with_name(root.name + "-out")
    done = prepare(root, out, PrepareOptions(**options))
    read_splits(DataConfig(out))
    return done, read_folder(out, "train"), read_folder(out, "val")


def every_mask(*splits: LabelledSplit) -> list[np.ndarray]:
    return [data.load(index)[1] for data in splits for index in range(len(data))]


PAIRS = {
    "side by side": ("{n}.jpg", "{n}_mask.png"),
    "CHASE_DB1": ("Image_{n}.jpg", "Image_{n}_1stHO.png"),
    "DRIVE": ("training/images/{n}_training.tif", "training/1st_manual/{n}_manual1.gif"),
    "ISBI": ("train/image/{n}.png", "train/label/{n}.png"),
    "mmsegmentation": ("img_dir/train/{n}.jpg", "ann_dir/train/{n}.png"),
    "split first": ("train/images/{n}.jpg", "train/masks/{n}.png"),
    "SegNet": ("train/{n}.png", "trainannot/{n}.png"),
    "Dubai": ("Tile 1/images/part_{n}.jpg", "Tile 1/masks/part_{n}.png"),
    "large letters": ("Images/P{n}.JPG", "Masks/p{n}.PNG"),
    "BMP": ("images/{n}.bmp", "labels/{n}.bmp"),
    "prefix": ("images/{n}.jpg", "masks/mask_{n}.tif"),
    "dots": ("images/{n}.rf.23e7.jpg", "masks/{n}.rf.23e7.png"),
}


@pytest.mark.parametrize(("image", "mask"), PAIRS.values(), ids=PAIRS)
def test_photos_find_their_masks(tmp_path: Path, image: str, mask: str) -> None:
    root = tmp_path / "source"
    for n in ("01", "02", "03"):
        photo(root / image.format(n=n))
        save(root / mask.format(n=n), HALVES * 255)
    done, train, val = prepared(root)
    assert (len(train), len(val)) == (2, 1)
    assert done.names == ["background", "foreground"]
    assert all(np.array_equal(found, HALVES) for found in every_mask(train, val))
    assert (done.out / "overview.jpg").is_file()


def test_of_several_annotators_the_first_is_taken_and_it_is_said(tmp_path: Path) -> None:
    for n in ("01", "02"):
        photo(tmp_path / f"Image_{n}.jpg")
        save(tmp_path / f"Image_{n}_1stHO.png", HALVES * 255)
        save(tmp_path / f"Image_{n}_2ndHO.png", HALVES * 0)
        save(tmp_path / "mask" / f"Image_{n}_mask.gif", HALVES * 0)  # the field of view
    found = find_pairs(tmp_path)
    assert found is not None
    assert [sample.mask.name for sample in found.samples if sample.mask] == ["Image_01_1stHO.png", "Image_02_1stHO.png"]
    second = find_pairs(tmp_path, images="Image_*.jpg", masks="Image_*_2ndHO.png")
    assert second is not None
    assert [sample.mask.stem for sample in second.samples if sample.mask] == ["Image_01_2ndHO", "Image_02_2ndHO"]


def test_patterns_choose_what_names_do_not_say(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for n in ("a", "b"):
        photo(root / "in" / f"{n}_sat.jpg")
        save(root / "out" / f"{n}_map.png", HALVES)
    with refused("data-missing", "--images", root):
        check(root, PrepareOptions())
    with refused("data-missing", 0, "--masks x/*"):
        check(root, PrepareOptions(masks="x/*"))
    _, train, val = prepared(root, images="in/*_sat.jpg", masks="out/*_map.png")
    assert all(np.array_equal(found, HALVES) for found in every_mask(train, val))


def test_photos_without_a_mask_are_named_with_the_nearest(tmp_path: Path) -> None:
    for n in ("a1", "a2"):
        photo(tmp_path / "images" / f"{n}.jpg")
        save(tmp_path / "masks" / f"{n}.png", HALVES)
    photo(tmp_path / "images" / "a-3.jpg")
    save(tmp_path / "masks" / "a_3x.png", HALVES)
    found = find_pairs(tmp_path)
    assert found is not None
    assert any("a-3.jpg" in note and "a_3x" in note for note in found.notes)


def palette_mask(colors: np.ndarray = COLORS) -> Image.Image:
    image = Image.fromarray(THREE.astype(np.uint8)).convert("P")
    image.putpalette(colors.ravel().tolist())
    return image


VALUES: dict[str, tuple[Callable[[], np.ndarray | Image.Image], str, int]] = {
    "0 and 255": (lambda: HALVES * 255, ".png", 2),
    "0 and 1": (lambda: HALVES, ".png", 2),
    "one bit": (lambda: Image.fromarray(HALVES * 255).convert("1"), ".png", 2),
    "JPEG": (lambda: HALVES * 255, ".jpg", 2),
    "indices": (lambda: THREE.astype(np.uint8), ".png", 3),
    "16 bit": (lambda: THREE.astype(np.uint16), ".png", 3),
    "32 bit": (lambda: THREE.astype(np.int32), ".tif", 3),
    "float": (lambda: THREE.astype(np.float32), ".tif", 3),
    "spread greys": (lambda: (THREE * 100).astype(np.uint8), ".png", 3),
    "grey as colours": (lambda: np.repeat((THREE * 100).astype(np.uint8)[..., None], 3, axis=-1), ".png", 3),
    "palette": (palette_mask, ".png", 3),
    "GIF": (palette_mask, ".gif", 3),
    "colours": (lambda: COLORS[THREE], ".png", 3),
    "BMP colours": (lambda: COLORS[THREE], ".bmp", 3),
}


@pytest.mark.parametrize(("make", "suffix", "classes"), VALUES.values(), ids=VALUES)
def test_values_and_colours_become_class_indices(
    tmp_path: Path, make: Callable[[], np.ndarray | Image.Image], suffix: str, classes: int
) -> None:
    root = tmp_path / "source"
    for n in range(3):
        photo(root / "images" / f"{n}.jpg")
        save(root / "masks" / f"{n}{suffix}", make(), **({"quality": 95} if suffix == ".jpg" else {}))
    done, train, val = prepared(root)
    assert len(done.names) == classes
    expected = HALVES if classes == 2 else THREE
    assert all(np.array_equal(found, expected) for found in every_mask(train, val))


def test_masks_of_0_1_and_255_with_three_names_have_three_classes(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for n in range(2):
        photo(root / "images" / f"{n}.jpg")
        save(root / "masks" / f"{n}.png", np.array([0, 1, 255], np.uint8)[THREE])
    (root / "classes.txt").write_text("sky\ngrass\ncat\n")
    done, train, val = prepared(root)
    assert done.names == ["sky", "grass", "cat"]
    assert all(np.array_equal(found, THREE) for found in every_mask(train, val))


def test_found_colours_have_names_and_stay(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for n in range(2):
        photo(root / "images" / f"{n}.jpg")
        save(root / "masks" / f"{n}.png", COLORS[THREE])
    _, train, _ = prepared(root)
    assert train.labels.class_names == ["color-1", "color-2", "color-3"]
    assert train.labels.class_colors[0] == [0, 0, 0]
    assert sorted(train.labels.class_colors) == sorted(COLORS.tolist())


def write_colored(root: Path, *, quality: int | None = None) -> Path:
    for n in range(2):
        photo(root / "images" / f"{n}.jpg")
        large = np.kron(COLORS[THREE], np.ones((4, 4, 1), np.uint8))
        save(root / "images" / f"{n}.jpg", noise_image(64, 64))
        suffix = ".png" if quality is None else ".jpg"
        save(root / "masks" / f"{n}{suffix}", large, **({"quality": quality} if quality else {}))
    return root


def test_colours_of_a_given_table_are_its_classes(tmp_path: Path) -> None:
    root = write_colored(tmp_path / "source")
    table = tmp_path / "table.txt"
    table.write_text("cat #14b4f0\nnothing 0 0 0\nroof, 200, 30, 30\n")
    _, train, _ = prepared(root, classes=table)
    assert train.labels.class_names == ["cat", "nothing", "roof"]
    assert train.labels.class_colors[0] == [20, 180, 240]
    assert np.array_equal(train.load(0)[1][::4, ::4], np.array([1, 2, 0])[THREE])


def test_colours_that_no_class_has_are_refused_or_as_asked(tmp_path: Path) -> None:
    root = write_colored(tmp_path / "source")
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"nothing": "#000000", "roof": [190, 30, 30], "cat": "14b4f0"}))
    with refused("unknown-mask-value", "(200, 30, 30)", "--unknown"):
        check(root, PrepareOptions(classes=table))
    _, train, _ = prepared(root, classes=table, unknown="ignore")
    assert set(np.unique(train.load(0)[1])) == {0, 2, 255}


@pytest.mark.parametrize("given", [True, False])
def test_smeared_colours_go_to_the_nearest_and_the_doubtful_share_is_told(tmp_path: Path, given: bool) -> None:
    root = write_colored(tmp_path / "source", quality=60)
    table = tmp_path / "table.json"
    table.write_text(json.dumps([[name, color] for name, color in zip("abc", COLORS.tolist(), strict=True)]))
    done, train, _ = prepared(root, **({"classes": table} if given else {}))
    assert len(done.names) == 3
    mask = train.load(0)[1]
    expected = np.kron(THREE, np.ones((4, 4), int))
    if given:
        assert (mask == expected).mean() > 0.95
    assert any("between classes" in note for note in done.notes)
