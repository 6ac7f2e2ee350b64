"""What labelling tools export, in tiny trees: regions, classes, splits, and what is told of the rest."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.check import check
from ecenet.data.prepare.formats.label_studio import unpack_brush
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.write import prepare
from tests.data.prepare.trees import CORNERS, HEIGHT, SQUARE, WIDTH, assert_squares, photo, prepared, save_json
from tests.support.refusals import refused


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
