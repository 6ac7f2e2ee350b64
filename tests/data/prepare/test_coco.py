"""COCO's json in tiny trees: polygons, run lengths and stuff."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.check import check
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.write import prepare
from tests.data.prepare.trees import FLAT, HEIGHT, SQUARE, WIDTH, assert_squares, photo, prepared, save_json
from tests.support.refusals import assert_names, refused


def coco_content(*names: str, segmentation: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names, start=1)
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 7, "area": 64, "segmentation": segmentation}
            for n in range(1, len(names) + 1)
        ],
    }


def counts_of(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed runs: down each column, beginning with 0."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    return np.diff([0, *changes, flat.size]).tolist()


def compressed(mask: np.ndarray) -> dict[str, Any]:
    runs = coco.encode(np.asfortranarray(mask))
    return {"size": runs["size"], "counts": runs["counts"].decode()}


SHAPES = {
    "polygon": [FLAT],
    "two polygons": [[4, 4, 12, 4, 12, 8, 4, 8], [4, 8, 12, 8, 12, 12, 4, 12]],
    "runs": {"size": [HEIGHT, WIDTH], "counts": counts_of(SQUARE)},
    "compressed runs": compressed(SQUARE),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_coco_in_one_file_for_each_split(tmp_path: Path, shape: Any) -> None:
    root = tmp_path / "source"
    for split, names in (("train", ("a.jpg", "b.jpg")), ("val", ("c.jpg",))):
        for name in names:
            photo(root / f"{split}2017" / name)
        content = coco_content(*names, segmentation=shape)
        save_json(root / "annotations" / f"instances_{split}2017.json", content)
    done, train, val = prepared(root)
    assert (len(train), len(val)) == (2, 1)
    assert done.names == ["background", "cat", "dog"]
    assert_squares(train, val)
    assert any("dog" in line for line in done.report().splitlines() if line.startswith("Note"))


def test_coco_as_roboflow_lays_it_out(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for split in ("train", "valid"):
        photo(root / split / "a_jpg.rf.12ab.jpg")
        save_json(root / split / "_annotations.coco.json", coco_content("a_jpg.rf.12ab.jpg", segmentation=[FLAT]))
    done, train, val = prepared(root)
    assert [path.stem for path in train.images] == ["a_jpg.rf.12ab"]
    assert_squares(train, val)
    assert done.kind == "COCO json"


def test_small_regions_stay_visible_and_stuff_covers_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "source"
    content = coco_content("a.jpg", "b.jpg", segmentation=[FLAT])
    for n in (1, 2):
        photo(root / ("a.jpg" if n == 1 else "b.jpg"))
        everything = {"size": [HEIGHT, WIDTH], "counts": [0, WIDTH * HEIGHT]}
        content["annotations"].append({"image_id": n, "category_id": 9, "area": 384, "segmentation": everything})
    save_json(root / "labels.json", content)
    _, train, val = prepared(root)
    assert_squares(train, val, mask=np.where(SQUARE, 1, 2))


def test_a_list_of_classes_chooses_among_them_and_the_rest_can_be_ignored(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for name in ("a.jpg", "b.jpg"):
        photo(root / name)
    content = coco_content("a.jpg", "b.jpg", segmentation=[FLAT])
    content["annotations"].append(
        {"image_id": 1, "category_id": 9, "area": 9, "segmentation": [[0, 0, 3, 0, 3, 3, 0, 3]]}
    )
    content["annotations"].append(
        {"image_id": 2, "category_id": 9, "area": 9, "segmentation": [[0, 0, 3, 0, 3, 3, 0, 3]]}
    )
    save_json(root / "labels.json", content)
    (tmp_path / "wanted.txt").write_text("dog\ncat\n")
    out = tmp_path / "out"
    prepare(root, out, PrepareOptions(classes=tmp_path / "wanted.txt", rest="ignore"))
    mask = read_folder(out, "train").load(0)[1]
    assert mask[0, 0] == 1, "dog"
    assert mask[5, 5] == 2, "cat"
    assert mask[15, 20] == 255
    (tmp_path / "wrong.txt").write_text("dog\nmouse\n")
    with refused("unknown-choice", "'mouse'", "cat"):
        check(root, PrepareOptions(classes=tmp_path / "wrong.txt"))


def test_boxes_are_no_masks(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    save_json(tmp_path / "labels.json", coco_content("a.jpg", segmentation=[]))
    with refused("wrong-data", "segmentation", 1):
        check(tmp_path, PrepareOptions())


def test_photos_that_are_named_and_not_there_are_counted(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    save_json(tmp_path / "labels.json", coco_content("a.jpg", "gone.jpg", segmentation=[FLAT]))
    assert_names(check(tmp_path, PrepareOptions()).report(), 1, "gone.jpg")
    (tmp_path / "a.jpg").unlink()
    with refused("data-missing", "labels.json", "gone.jpg"):
        check(tmp_path, PrepareOptions())


@pytest.mark.parametrize("missing", ["images", "file_name", "category_id"])
def test_a_file_that_lacks_fields_is_named(tmp_path: Path, missing: str) -> None:
    photo(tmp_path / "a.jpg")
    content = coco_content("a.jpg", segmentation=[FLAT])
    entries: list[Any] = [content, *content["images"], *content["annotations"]]
    for entry in entries:
        if missing in entry:
            entry[missing] = None
            if missing != "images":
                del entry[missing]
    save_json(tmp_path / "labels.json", content)
    with refused("wrong-file", "labels.json", "COCO json"):
        check(tmp_path, PrepareOptions())
