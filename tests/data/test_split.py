"""Folders of images and masks: what is accepted, what is named when it is not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.common.error_codes import ErrorCode
from ecenet.common.errors import UserError
from ecenet.data.labels import LabelSet, read_labels
from ecenet.data.layouts.folder import read_folder
from ecenet.data.split import LabelledSplit, class_pixels, class_presence
from tests.support.helpers import CLASS_NAMES, noise_image, write_classes, write_folder, write_pair
from tests.support.refusals import assert_names, refused

PLAIN = np.ones((16, 16), dtype=np.uint8)


def refusal(code: ErrorCode, root: Path, split: str = "train") -> str:
    """What `read_folder`, or else loading the first pair, has to say."""
    with refused(code) as caught:
        read_folder(root, split).load(0)
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message, "the part after it says what to do"
    return message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One class list, one good pair of 16×16."""
    write_classes(tmp_path)
    write_pair(tmp_path, "train", "a", PLAIN)
    return tmp_path


def test_labels_keep_the_order_and_the_colours_of_the_file(folder: Path) -> None:
    assert read_labels(folder / "classes.json") == LabelSet(
        name="tiny", class_names=CLASS_NAMES, class_colors=[[0, 100, 200], [10, 100, 200], [20, 100, 200]]
    )


def test_label_names_need_not_be_ascii_and_the_folder_names_a_nameless_set(tmp_path: Path) -> None:
    classes = [{"name": "空", "color": [0, 0, 0]}, {"name": "gräs", "color": [255, 255, 255]}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}, ensure_ascii=False), encoding="utf-8")
    labels = read_labels(tmp_path / "classes.json")
    assert labels.class_names == ["空", "gräs"]
    assert labels.name == tmp_path.name


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("{", "invalid-labels", "classes.json"),
        ("[]", "invalid-labels", "classes.json"),
        ("{}", "invalid-labels", "'classes'"),
        ('{"classes": [{"name": "a", "color": [0, 0, 0]}]}', "invalid-labels", "1 classes"),
        (
            '{"classes": [{"name": "a", "color": [0, 0, 0]}, {"name": "b", "color": [0, 0]}]}',
            "invalid-labels",
            "colour for b",
        ),
        (
            '{"classes": [{"name": "a", "color": [0, 0, 256]}, {"name": "b", "color": [0, 0, 0]}]}',
            "invalid-labels",
            "colour for a",
        ),
        ('{"classes": [{"name": "a", "color": [0, 0, Infinity]}]}', "invalid-labels", "infinity"),
        (
            '{"classes": [{"name": "a", "color": [0, 0, 0]}, {"name": "a", "color": [1, 1, 1]}]}',
            "duplicate-entry",
            "'a'",
        ),
    ],
)
def test_a_class_list_that_cannot_be_used_is_refused(folder: Path, text: str, code: ErrorCode, named: str) -> None:
    (folder / "classes.json").write_text(text)
    assert_names(refusal(code, folder), folder / "classes.json", named)


def test_a_class_list_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "classes.json").write_bytes(b"\xff\xfe\x00\x01")
    assert_names(refusal("invalid-labels", folder), "classes.json")
    (folder / "classes.json").unlink()
    assert_names(refusal("file-missing", folder), "classes.json")


def test_a_folder_pairs_images_and_masks_by_name(tmp_path: Path) -> None:
    write_classes(tmp_path)
    for index, suffix in enumerate([".jpg", ".PNG", ".webp"]):
        write_pair(tmp_path, "train", f"img.{index}", np.full((16, 20), index, np.uint8), suffix=suffix)
    (tmp_path / "images" / "train" / "._img.0.jpg").write_bytes(b"what macOS leaves beside a file")
    (tmp_path / "images" / "train" / "notes.txt").write_text("no image")

    data = read_folder(tmp_path, "train")
    assert len(data) == 3
    for index in range(3):
        image, mask = data.load(index)
        assert (image.mode, image.size) == ("RGB", (20, 16))
        assert mask.dtype == np.uint8
        assert (mask == index).all()


def test_a_palette_mask_gives_its_indices(folder: Path) -> None:
    mask = Image.fromarray(PLAIN * 2).convert("P")
    mask.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    mask.save(folder / "masks" / "train" / "a.png")
    assert (read_folder(folder, "train").load(0)[1] == 2).all()


def test_a_missing_split_names_those_that_exist(tmp_path: Path) -> None:
    write_folder(tmp_path, splits=("train", "val"), images=1)
    assert_names(refusal("data-missing", tmp_path, "test"), tmp_path / "images" / "test", "train, val")
    assert_names(refusal("data-missing", tmp_path / "nowhere"), tmp_path / "nowhere" / "images" / "train")


def test_a_split_without_images_is_refused(folder: Path) -> None:
    (folder / "images" / "empty").mkdir()
    assert_names(refusal("data-missing", folder, "empty"), folder / "images" / "empty", "JPEG")


def test_missing_masks_are_counted_and_the_first_is_named(folder: Path) -> None:
    for name in ("b", "c"):
        write_pair(folder, "train", name, PLAIN)
        (folder / "masks" / "train" / f"{name}.png").unlink()
    assert_names(refusal("data-missing", folder), "3 images", 2, Path("masks", "train", "b.png"))


def test_two_images_that_share_a_mask_are_refused(folder: Path) -> None:
    noise_image(16, 16).save(folder / "images" / "train" / "a.jpg")
    assert_names(refusal("duplicate-entry", folder), "a.jpg", "a.png")


@pytest.mark.parametrize(
    ("mask", "code", "named"),
    [
        (PLAIN * 3, "unknown-mask-value", ["0 … 2", 255, 3]),
        (PLAIN * 254, "unknown-mask-value", ["0 … 2", 255, 254]),
        (np.ones((16, 17), np.uint8), "size-mismatch", ["16×16", "17×16"]),
        (np.ones((16, 16, 3), np.uint8), "wrong-file", ["(16, 16, 3)"]),
        (PLAIN.astype(bool), "wrong-file", ["bool"]),
        (PLAIN.astype(np.uint16), "wrong-file", ["uint16"]),
    ],
    ids=["beyond", "almost ignored", "other size", "colours", "bits", "16 bit"],
)
def test_a_mask_that_cannot_be_used_is_named_with_what_it_holds(
    folder: Path, mask: np.ndarray, code: ErrorCode, named: list[object]
) -> None:
    Image.fromarray(mask).save(folder / "masks" / "train" / "a.png")
    assert_names(refusal(code, folder), folder / "masks" / "train" / "a.png", *named)


@pytest.mark.parametrize("content", [b"", b"no PNG", b"truncated"])
def test_a_damaged_mask_is_named(folder: Path, content: bytes) -> None:
    path = folder / "masks" / "train" / "a.png"
    path.write_bytes(path.read_bytes()[:50] if content == b"truncated" else content)
    assert_names(refusal("file-damaged", folder), path)


def test_ignored_pixels_and_every_class_are_accepted(folder: Path) -> None:
    mask = np.resize(np.array([0, 1, 2, 255], np.uint8), (16, 16))
    write_pair(folder, "train", "a", mask)
    assert np.array_equal(read_folder(folder, "train").load(0)[1], mask)


def test_class_presence_counts_pixels_of_each_class(folder: Path) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[:4] = 2
    mask[4, :10] = 1
    mask[5:9] = 255
    write_pair(folder, "train", "b", mask)
    data = read_folder(folder, "train")
    pixels = class_pixels(data)
    assert pixels.tolist() == [[0, 256, 0], [118, 10, 64]]
    assert class_presence(data, pixels, min_pixels=10).tolist() == [
        [False, True, False],
        [True, True, True],
    ]
    assert class_presence(data, pixels, min_pixels=11).tolist() == [
        [False, True, False],
        [True, False, True],
    ]


def test_reading_masks_names_every_bad_file_at_once(folder: Path) -> None:
    for name in ("b", "c", "d", "e"):
        write_pair(folder, "train", name, PLAIN)
    (folder / "masks" / "train" / "a.png").write_bytes(b"no PNG")
    write_pair(folder, "train", "b", PLAIN * 77)
    noise_image(16, 20).save(folder / "images" / "train" / "c.png")
    (folder / "images" / "train" / "d.png").write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        class_pixels(read_folder(folder, "train"))
    first, *rest = str(caught.value).splitlines()
    assert "4 of 5" in first
    assert [line.strip()[:8] for line in rest] == ["Expected"] * 4
    for line, named in zip(rest, ["a.png", "has 77", "c.png", "d.png"], strict=True):
        assert named in line


def test_a_long_list_of_bad_files_is_cut_at_ten(folder: Path) -> None:
    for index in range(12):
        write_pair(folder, "train", f"bad{index:02}", PLAIN * 9)
    with refused("several-problems", "12 of 13", folder) as caught:
        class_pixels(read_folder(folder, "train"))
    assert len(str(caught.value).splitlines()) == 11


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_mask_has_the_size_of_its_upright_image(folder: Path, suffix: str) -> None:
    write_pair(folder, "turned", "phone", np.ones((24, 16), np.uint8), suffix=suffix)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = folder / "images" / "turned" / f"phone{suffix}"
    noise_image(24, 16).save(path, exif=exif)

    data = read_folder(folder, "turned")
    assert class_presence(data, class_pixels(data)).tolist() == [[False, True, False]]
    image, mask = data.load(0)
    assert image.size == mask.shape[::-1] == (16, 24)


@pytest.mark.parametrize("label", [255, "few"])
def test_masks_with_nothing_to_learn_are_refused(tmp_path: Path, label: int | str) -> None:
    write_classes(tmp_path)
    mask = np.full((16, 16), 255, np.uint8)
    if label == "few":
        mask[0] = 1
    write_pair(tmp_path, "train", "a", mask)
    data: LabelledSplit = read_folder(tmp_path, "train")
    with refused("not-enough-data", tmp_path, "train", 200):
        class_presence(data, class_pixels(data))
