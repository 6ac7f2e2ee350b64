"""What labelling tools export, in tiny trees: regions, classes, splits, and what is told of the rest."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.check import check
from ecenet.data.prepare.label_studio import unpack_brush
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.write import Prepared, prepare
from ecenet.data.split import LabelledSplit
from ecenet.training.config import DataConfig
from ecenet.training.setup import read_splits
from tests.support.helpers import noise_image
from tests.support.refusals import assert_names, refused

WIDTH, HEIGHT = 24, 16
SQUARE = np.zeros((HEIGHT, WIDTH), np.uint8)
SQUARE[4:12, 4:12] = 1
"""Class 1 in a square, 0 around it."""
CORNERS = [(4, 4), (12, 4), (12, 12), (4, 12)]
FLAT = [value for corner in CORNERS for value in corner]


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise_image(WIDTH, HEIGHT).save(path)


def save_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def prepared(root: Path, **options: Any) -> tuple[Prepared, LabelledSplit, LabelledSplit]:
    out = root.with_name(root.name + "-out")
    done = prepare(root, out, PrepareOptions(**options))
    read_splits(DataConfig(out))
    return done, read_folder(out, "train"), read_folder(out, "val")


def assert_squares(*splits: LabelledSplit, mask: np.ndarray = SQUARE) -> None:
    for data in splits:
        for index in range(len(data)):
            found = data.load(index)[1]
            assert np.array_equal(found, mask), f"{data.images[index]}\n{found}"


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


def encoded_mask() -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ones((8, 8), np.uint8) * 255).convert("1").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


LABELME: dict[str, dict[str, Any]] = {
    "polygon": {"shape_type": "polygon", "points": CORNERS},
    "rectangle": {"shape_type": "rectangle", "points": [CORNERS[0], CORNERS[2]]},
    "mask": {"shape_type": "mask", "points": [(4, 4), (11, 11)], "mask": encoded_mask()},
}


def labelme(name: str, *shapes: dict[str, Any]) -> dict[str, Any]:
    return {"shapes": list(shapes), "imagePath": name, "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}


@pytest.mark.parametrize("shape", LABELME.values(), ids=LABELME)
def test_labelme(tmp_path: Path, shape: dict[str, Any]) -> None:
    root = tmp_path / "source"
    for name in ("a", "b", "c"):
        photo(root / f"{name}.jpg")
        line = {"label": "cat", "shape_type": "line", "points": [(0, 0), (3, 3)]}
        save_json(root / f"{name}.json", labelme(f"..\\photos\\{name}.jpg", shape | {"label": "cat"}, line))
    done, train, val = prepared(root)
    assert done.names == ["background", "cat"]
    assert_squares(train, val)
    assert any("line" in note for note in done.notes)


def test_labelmes_words_for_background_and_ignored(tmp_path: Path) -> None:
    root = tmp_path / "source"
    everything = {"shape_type": "rectangle", "points": [(0, 0), (WIDTH, HEIGHT)]}
    square = {"shape_type": "polygon", "points": CORNERS}
    for name in ("a", "b"):
        photo(root / f"{name}.jpg")
        shapes = (everything | {"label": "cat"}, square | {"label": "__ignore__"})
        save_json(root / f"{name}.json", labelme(f"{name}.jpg", *shapes))
    out = tmp_path / "out"
    prepare(root, out, PrepareOptions())
    assert np.array_equal(read_folder(out, "train").load(0)[1], np.where(SQUARE, 255, 1))


def write_yolo(root: Path, line: str) -> Path:
    for split in ("train", "val"):
        photo(root / "images" / split / "a.jpg")
        (root / "labels" / split).mkdir(parents=True)
        (root / "labels" / split / "a.txt").write_text(line + "\n")
    (root / "data.yaml").write_text("names:\n  0: dog\n  1: cat\nnc: 2\n")
    return root


POLYGON = "0 " + " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in CORNERS)


def test_yolo_polygons(tmp_path: Path) -> None:
    done, train, val = prepared(write_yolo(tmp_path / "source", POLYGON))
    assert done.names == ["background", "dog", "cat"]
    assert_squares(train, val)


@pytest.mark.parametrize(
    ("line", "code", "named"),
    [
        ("0 0.5 0.5 0.1 0.1", "wrong-data", ["boxes"]),
        ("0 0.5 0.5 0.1", "wrong-file", ["line 1", "'0 0.5 0.5 0.1'"]),
        ("cat 0.1 0.1 0.2 0.2 0.3 0.3", "wrong-file", ["a.txt"]),
        (POLYGON.replace("0 ", "5 ", 1), "invalid-labels", ["class 5", "data.yaml"]),
    ],
)
def test_yolo_files_that_cannot_be_used(tmp_path: Path, line: str, code: Any, named: list[str]) -> None:
    with refused(code, *named):
        check(write_yolo(tmp_path, line), PrepareOptions())


def test_vocs_layout_with_names_and_lists(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for name in ("a", "b", "c"):
        photo(root / "JPEGImages" / f"{name}.jpg")
        palette = Image.fromarray(SQUARE).convert("P")
        palette.putpalette([0, 0, 0, 128, 0, 0])
        for folder in ("SegmentationClass", "SegmentationObject", "SegmentationClassVisualization"):
            (root / folder).mkdir(exist_ok=True)
            palette.save(root / folder / f"{name}.png")
    (root / "class_names.txt").write_text("_background_\ncat\n")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")
    done, train, val = prepared(root)
    assert done.names == ["background", "cat"]
    assert [path.stem for path in val.images] == ["c"]
    assert_squares(train, val)


def test_cvats_voc_export_has_colours_and_a_map_of_them(tmp_path: Path) -> None:
    root = tmp_path / "source"
    colors = np.array([[0, 0, 0], [250, 50, 83]], np.uint8)
    for name in ("a", "b"):
        photo(root / "JPEGImages" / f"{name}.jpg")
        (root / "SegmentationClass").mkdir(exist_ok=True)
        Image.fromarray(colors[SQUARE]).save(root / "SegmentationClass" / f"{name}.png")
    lines = ("# label:color_rgb:parts:actions", "background:0,0,0::", "cat:250,50,83::")
    (root / "labelmap.txt").write_text("\n".join(lines))
    done, train, val = prepared(root)
    assert done.names == ["background", "cat"]
    assert train.labels.class_colors[1] == [250, 50, 83]
    assert_squares(train, val)


CVAT = {
    "polygon": '<polygon label="cat" points="4,4;12,4;12,12;4,12" z_order="0"/>',
    "box": '<box label="cat" xtl="4" ytl="4" xbr="12" ybr="12" z_order="0"/>',
    "mask": '<mask label="cat" rle="0,64" left="4" top="4" width="8" height="8" z_order="0"/>',
    "layers": '<polygon label="cat" points="4,4;12,4;12,12;4,12" z_order="1"/>'
    '<polygon label="dog" points="4,4;8,4;8,8;4,8" z_order="0"/>',
}


@pytest.mark.parametrize("shape", CVAT.values(), ids=CVAT)
def test_cvats_xml(tmp_path: Path, shape: str) -> None:
    root = tmp_path / "source"
    images = ""
    for number, name in enumerate(("a.jpg", "b.jpg")):
        photo(root / "images" / name)
        points = '<points label="cat" points="1,1"/>'
        size = f'width="{WIDTH}" height="{HEIGHT}"'
        images += f'<image id="{number}" name="{name}" {size}>{shape}{points}</image>'
    labels = "".join(
        f"<label><name>{name}</name><color>{color}</color><attributes></attributes></label>"
        for name, color in (("cat", "#fa3253"), ("dog", "#00ff00"))
    )
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    (root / "annotations.xml").write_text(f"<?xml version='1.0'?><annotations>{meta}{images}</annotations>")
    done, train, val = prepared(root)
    assert done.names == ["background", "cat", "dog"]
    assert train.labels.class_colors[1] == [250, 50, 83]
    assert_squares(train, val)
    assert any("points" in note for note in done.notes)


def packed_brush(values: np.ndarray) -> list[int]:
    """Label Studio's bytes: one block a run of equal values, at most 2^16 long."""
    bits = f"{values.size:032b}" + f"{8 - 1:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    begin = 0
    while begin < values.size:
        end = begin + 1
        while end < values.size and values[end] == values[begin]:
            end += 1
        bits += "1" + "11" + f"{end - begin - 1:016b}" + f"{values[begin]:08b}"
        begin = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def test_label_studios_bytes_are_unpacked() -> None:
    values = np.array([0, 0, 0, 255, 255, 7, 0], np.uint8)
    assert np.array_equal(unpack_brush(packed_brush(values)), values)
    # A block of different values: 3 of 8 bits each, its length less 1 in 3 bits.
    bits = f"{3:032b}" + f"{7:05b}" + "0010" * 4 + "0" + "00" + "010" + f"{5:08b}{6:08b}{7:08b}"
    bits += "0" * (-len(bits) % 8)
    assert unpack_brush([int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]).tolist() == [5, 6, 7]


PERCENT = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in CORNERS]
STUDIO: dict[str, tuple[str, dict[str, Any]]] = {
    "polygon": ("polygonlabels", {"points": PERCENT}),
    "rectangle": (
        "rectanglelabels",
        {"x": PERCENT[0][0], "y": PERCENT[0][1], "width": 800 / WIDTH, "height": 800 / HEIGHT, "rotation": 0},
    ),
    "brush": ("brushlabels", {"format": "rle", "rle": packed_brush((SQUARE * 255).repeat(4))}),
}


@pytest.mark.parametrize(("kind", "value"), STUDIO.values(), ids=STUDIO)
def test_label_studios_json(tmp_path: Path, kind: str, value: dict[str, Any]) -> None:
    root = tmp_path / "source"
    tasks = []
    for name in ("a", "b"):
        photo(root / "images" / f"{name}.jpg")
        size = {"original_width": WIDTH, "original_height": HEIGHT}
        result = {"type": kind, "value": value | {kind: ["cat"]}, **size}
        choice = {"type": "choices", "value": {"choices": ["day"]}}
        wrong = {"was_cancelled": True, "result": []}
        address = f"/data/upload/1/0a1b2c3d-{name}.jpg" if name == "a" else f"/data/local-files/?d=images/{name}.jpg"
        tasks.append({"data": {"image": address}, "annotations": [wrong, {"result": [result, choice]}]})
    save_json(root / "export.json", tasks)
    done, train, val = prepared(root)
    assert done.names == ["background", "cat"]
    assert_squares(train, val)
    assert any("choices" in note for note in done.notes)
