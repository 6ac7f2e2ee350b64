"""Published data sets in their publishers' layouts: what each value becomes, what is said when a piece is missing."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy.io import savemat

from ecenet.common.error_codes import ErrorCode
from ecenet.data.layouts import camvid
from ecenet.data.layouts.ade20k import read_ade20k
from ecenet.data.layouts.camvid import read_camvid
from ecenet.data.layouts.cityscapes import read_cityscapes
from ecenet.data.layouts.pairing import published_labels
from ecenet.data.layouts.pascal_context import read_pascal_context
from ecenet.data.layouts.read import Layout, read_data
from ecenet.data.layouts.voc2012 import read_voc2012
from ecenet.data.split import LabelledSplit
from tests.support.helpers import write_folder
from tests.support.published import (
    SIDE,
    blocks,
    save_image,
    save_mask,
    save_text,
    write_ade20k,
    write_camvid,
    write_cityscapes,
    write_pascal_context,
    write_voc2012,
)
from tests.support.refusals import assert_names, refused


def only_mask(data: LabelledSplit) -> np.ndarray:
    """The mask of a split's one pair, decoded as a spawned worker would."""
    assert len(data) == 1
    image, mask = pickle.loads(pickle.dumps(data)).load(0)
    assert (image.mode, image.size) == ("RGB", (SIDE, SIDE))
    assert mask.dtype == np.uint8
    return mask


def refusal(code: ErrorCode, read: Callable[[Path, str], LabelledSplit], root: Path, split: str = "train") -> str:
    """What `read`, or else loading the first pair, has to say."""
    with refused(code) as caught:
        read(root, split).load(0)
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message, "the part after it says what to do"
    return message


def test_ade20k_moves_classes_down_by_one_and_ignores_the_rest(tmp_path: Path) -> None:
    write_ade20k(tmp_path / "ADEChallengeData2016")
    for root in (tmp_path, tmp_path / "ADEChallengeData2016"):
        for split in ("train", "training"):
            assert np.array_equal(only_mask(read_ade20k(root, split)), blocks(255, 0, 149))


def test_ade20k_names_what_is_missing(tmp_path: Path) -> None:
    assert "ADEChallengeData2016" in refusal("data-missing", read_ade20k, tmp_path)
    write_ade20k(tmp_path)
    assert "validation" in refusal("data-missing", read_ade20k, tmp_path, "val")
    mask = tmp_path / "annotations" / "training" / "ADE_train_1.png"
    save_mask(mask, blocks(151))
    assert_names(refusal("unknown-mask-value", read_ade20k, tmp_path), "0 … 150", mask, 151)
    mask.unlink()
    assert_names(refusal("data-missing", read_ade20k, tmp_path), "1 masks", mask)


def test_a_folder_of_hidden_twins_holds_no_images(tmp_path: Path) -> None:
    (tmp_path / "images" / "training").mkdir(parents=True)
    (tmp_path / "images" / "training" / "._ADE_train_1.jpg").write_bytes(b"what macOS leaves beside a file")
    assert_names(refusal("data-missing", read_ade20k, tmp_path), tmp_path / "images" / "training")


def test_voc_reads_listed_palette_masks_as_they_are(tmp_path: Path) -> None:
    write_voc2012(tmp_path / "VOCdevkit" / "VOC2012")
    for root in (tmp_path, tmp_path / "VOCdevkit", tmp_path / "VOCdevkit" / "VOC2012"):
        assert np.array_equal(only_mask(read_voc2012(root, "train")), blocks(0, 20, 255))


@pytest.mark.parametrize("name", ["trainaug", "train_aug"])
def test_voc_takes_augmented_masks_from_their_own_folder(tmp_path: Path, name: str) -> None:
    write_voc2012(tmp_path)
    line = "/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png"
    save_text(tmp_path / "ImageSets" / "Segmentation" / f"{name}.txt", line, "")
    assert "SegmentationClassAug" in refusal("data-missing", read_voc2012, tmp_path, "train_aug")
    save_mask(tmp_path / "SegmentationClassAug" / "2007_000032.png", blocks(3))
    assert np.array_equal(only_mask(read_voc2012(tmp_path, "train_aug")), blocks(3))
    assert np.array_equal(only_mask(read_voc2012(tmp_path, "train")), blocks(0, 20, 255))


def test_voc_names_what_is_missing(tmp_path: Path) -> None:
    assert "JPEGImages" in refusal("data-missing", read_voc2012, tmp_path)
    write_voc2012(tmp_path)
    assert_names(refusal("data-missing", read_voc2012, tmp_path, "val"), "val.txt", "train.txt")
    assert_names(refusal("data-missing", read_voc2012, tmp_path, "train_aug"), "train_aug.txt")
    listed = tmp_path / "ImageSets" / "Segmentation" / "train.txt"
    save_text(listed, "2007_000032", "gone")
    gone = tmp_path / "JPEGImages" / "gone.jpg"
    assert_names(refusal("data-missing", read_voc2012, tmp_path), "2 images", gone)
    save_text(listed, "2007_000032", "unlisted")
    assert str(tmp_path / "SegmentationClass" / "unlisted.png") in refusal("data-missing", read_voc2012, tmp_path)


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        (b"\n \n", "data-missing", []),
        (b"a\nb\na\n", "duplicate-entry", ["a"]),
        (b"\xff\xfe", "file-damaged", []),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes, code: ErrorCode, named: list[str]
) -> None:
    listed = write_voc2012(tmp_path) / "ImageSets" / "Segmentation" / "train.txt"
    listed.write_bytes(content)
    assert_names(refusal(code, read_voc2012, tmp_path), listed, *named)


@pytest.mark.parametrize("background", [False, True])
def test_pascal_context_keeps_59_of_459_classes(tmp_path: Path, background: bool) -> None:
    write_pascal_context(tmp_path)
    data = read_pascal_context(tmp_path, "train", background=background)
    assert data.labels.num_classes == 59 + background
    names = ["other" if value == 255 else data.labels.class_names[value] for value in only_mask(data)[0, :7]]
    other = "background" if background else "other"
    assert names == [other, "aeroplane", "table", "wood", other, other, other]


def test_pascal_context_finds_its_parts_where_they_are_unpacked(tmp_path: Path) -> None:
    voc = tmp_path / "VOCdevkit" / "VOC2010"
    write_pascal_context(voc, context=tmp_path)
    assert len(read_pascal_context(tmp_path, "train")) == 1
    save_text(voc / "ImageSets" / "SegmentationContext" / "train.txt", "here")
    assert "here.jpg" in refusal("data-missing", read_pascal_context, tmp_path)
    save_text(tmp_path / "train.txt", "nearest")
    assert "nearest.jpg" in refusal("data-missing", read_pascal_context, tmp_path)


def test_pascal_context_names_what_is_missing(tmp_path: Path) -> None:
    assert "JPEGImages" in refusal("data-missing", read_pascal_context, tmp_path)
    save_image(tmp_path / "JPEGImages" / "2008_000002.jpg")
    assert "trainval" in refusal("data-missing", read_pascal_context, tmp_path)
    write_pascal_context(tmp_path)
    assert str(Path("Main", "val.txt")) in refusal("data-missing", read_pascal_context, tmp_path, "val")

    label_map = tmp_path / "trainval" / "2008_000002.mat"
    savemat(label_map, {"LabelMap": blocks(460, dtype=np.uint16)})
    assert_names(refusal("unknown-mask-value", read_pascal_context, tmp_path), label_map, "0 … 459", 460)
    savemat(label_map, {"LabelMap": blocks(1).astype(float)})
    assert "float64" in refusal("wrong-file", read_pascal_context, tmp_path)
    savemat(label_map, {"other": blocks(1)})
    assert "LabelMap" in refusal("file-damaged", read_pascal_context, tmp_path)
    label_map.write_bytes(b"no MATLAB file")
    assert str(label_map) in refusal("file-damaged", read_pascal_context, tmp_path)
    label_map.unlink()
    assert str(label_map) in refusal("data-missing", read_pascal_context, tmp_path)

    names = tmp_path / "labels.txt"
    names.write_text(names.read_text(encoding="utf-8").replace(": sky", ": heaven"), encoding="utf-8")
    assert_names(refusal("invalid-labels", read_pascal_context, tmp_path), names, "sky", 459)
    save_text(names, "aeroplane")
    assert str(names) in refusal("invalid-labels", read_pascal_context, tmp_path)
    names.unlink()
    assert str(names) in refusal("invalid-labels", read_pascal_context, tmp_path)


def test_cityscapes_keeps_19_of_34_ids(tmp_path: Path) -> None:
    write_cityscapes(tmp_path)
    assert np.array_equal(only_mask(read_cityscapes(tmp_path, "train")), blocks(255, 255, 0, 255, 255, 16, 18))


def test_cityscapes_takes_train_ids_only_where_no_label_ids_are(tmp_path: Path) -> None:
    write_cityscapes(tmp_path, kind="labelTrainIds", mask=blocks(18, 255))
    assert np.array_equal(only_mask(read_cityscapes(tmp_path, "train")), blocks(18, 255))
    write_cityscapes(tmp_path, mask=blocks(7))
    assert np.array_equal(only_mask(read_cityscapes(tmp_path, "train")), blocks(0))


def test_cityscapes_names_what_is_missing(tmp_path: Path) -> None:
    assert str(Path("leftImg8bit", "train")) in refusal("data-missing", read_cityscapes, tmp_path)
    write_cityscapes(tmp_path, mask=blocks(34))
    assert_names(refusal("unknown-mask-value", read_cityscapes, tmp_path), "0 … 33", 34)
    (tmp_path / "gtFine" / "train" / "aachen" / "aachen_000000_000019_gtFine_labelIds.png").unlink()
    assert "aachen_000000_000019_gtFine_labelIds.png" in refusal("data-missing", read_cityscapes, tmp_path)


def test_camvid_groups_32_colours_into_11_classes(tmp_path: Path) -> None:
    write_camvid(tmp_path)
    expected = [255, *(index for index, group in enumerate(camvid.GROUPS) for _ in group)]
    assert len(expected) == 32
    assert np.array_equal(only_mask(read_camvid(tmp_path, "train")), blocks(*expected))


def test_camvid_groups_stand_in_the_order_of_the_classes() -> None:
    own = {"pole": "Column_Pole", "pavement": "Sidewalk", "sign": "SignSymbol"}
    for name, group in zip(published_labels("camvid").class_names, camvid.GROUPS, strict=True):
        assert own.get(name, name.capitalize()) in group


def test_camvid_reads_the_layout_of_segnets_tutorial(tmp_path: Path) -> None:
    save_image(tmp_path / "train" / "0001TP_006690.png")
    save_mask(tmp_path / "trainannot" / "0001TP_006690.png", blocks(0, 10, 11))
    assert np.array_equal(only_mask(read_camvid(tmp_path, "train")), blocks(0, 10, 255))
    assert str(tmp_path / "val") in refusal("data-missing", read_camvid, tmp_path, "val")
    save_mask(tmp_path / "trainannot" / "0001TP_006690.png", blocks(12))
    assert_names(refusal("unknown-mask-value", read_camvid, tmp_path), "0 … 11", 12)


def test_camvid_names_what_is_missing(tmp_path: Path) -> None:
    assert "701_StillsRaw_full" in refusal("data-missing", read_camvid, tmp_path)
    write_camvid(tmp_path)
    assert str(tmp_path / "val.txt") in refusal("data-missing", read_camvid, tmp_path, "val")
    mask = tmp_path / "LabeledApproved_full" / "0001TP_006690_L.png"
    for color in ((128, 128, 129), (64, 64, 64)):
        save_mask(mask, np.resize(np.array(color, np.uint8), (SIDE, SIDE, 3)))
        assert str(color) in refusal("unknown-mask-value", read_camvid, tmp_path)
    mask.write_bytes(b"no PNG")
    assert str(mask) in refusal("file-damaged", read_camvid, tmp_path)
    mask.unlink()
    assert str(mask) in refusal("data-missing", read_camvid, tmp_path)


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("ade20k", 150, [(0, "wall", [120, 120, 120]), (12, "person", [150, 5, 61]), (149, "flag", [92, 0, 255])]),
        ("voc2012", 21, [(0, "background", [0, 0, 0]), (15, "person", [192, 128, 128])]),
        ("pascal_context", 59, [(10, "table", [192, 128, 0]), (20, "bag", [128, 64, 128])]),
        (
            "cityscapes",
            19,
            [(0, "road", [128, 64, 128]), (11, "person", [220, 20, 60]), (18, "bicycle", [119, 11, 32])],
        ),
        ("camvid", 11, [(0, "sky", [128, 128, 128]), (4, "pavement", [60, 40, 222]), (10, "bicyclist", [0, 128, 192])]),
    ],
)
def test_class_names_and_colours_are_the_published_ones(
    name: str, count: int, some: list[tuple[int, str, list[int]]]
) -> None:
    labels = published_labels(name)
    assert labels.num_classes == count
    assert f"({count} classes)" in labels.name
    for index, class_name, color in some:
        assert (labels.class_names[index], labels.class_colors[index]) == (class_name, color)
    # ADE20K's publisher gave road and skyscraper one colour.
    assert len({tuple(color) for color in labels.class_colors}) == count - (name == "ade20k")
    assert all(entry == entry.strip() for entry in labels.class_names)


def test_voc_and_pascal_context_agree_on_their_shared_classes() -> None:
    voc, context = published_labels("voc2012"), published_labels("pascal_context")
    assert voc.class_colors[1:] == context.class_colors[:20]
    different = {(a, b) for a, b in zip(voc.class_names[1:], context.class_names, strict=False) if a != b}
    assert different == {("diningtable", "table")}


def test_class_lists_are_shipped_with_the_package() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert json.dumps("classes/*.json") in pyproject


@pytest.mark.parametrize(
    ("layout", "write", "classes"),
    [
        ("folder", write_folder, 3),
        ("ade20k", write_ade20k, 150),
        ("pascal-context-59", write_pascal_context, 59),
        ("pascal-context-60", write_pascal_context, 60),
        ("cityscapes", write_cityscapes, 19),
        ("voc2012", write_voc2012, 21),
        ("camvid", write_camvid, 11),
    ],
)
def test_each_layout_reaches_its_reader(
    tmp_path: Path, layout: Layout, write: Callable[[Path], Path], classes: int
) -> None:
    data = read_data(write(tmp_path), "train", layout=layout)
    assert (data.root, data.split, data.labels.num_classes) == (tmp_path, "train", classes)
    data.load(0)


def test_an_unknown_layout_is_refused() -> None:
    with refused("unknown-choice", *get_args(Layout), "'coco'"):
        read_data(".", "train", layout="coco")  # type: ignore[arg-type]
