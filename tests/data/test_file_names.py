"""Names as cameras, editors and labelling tools write them: dots, spaces, large suffixes, byte-order marks; flags that
turn photos."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.data.inspection.orientation import unsure_orientations
from ecenet.data.labels import read_labels
from ecenet.data.layouts.folder import read_folder
from ecenet.data.layouts.pairing import listed_stem, read_list
from ecenet.data.layouts.read import Layout, read_data
from ecenet.training.config import DataConfig
from ecenet.training.setup import read_splits
from tests.support.helpers import noise_image, write_folder, write_pair
from tests.support.published import blocks, write_ade20k, write_pascal_context, write_voc2012
from tests.support.refusals import refused

MARK = "\ufeff"


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("2007_000032", "2007_000032"),
        ("IMG_jpg.rf.23e775d5", "IMG_jpg.rf.23e775d5"),
        ("IMG_jpg.rf.23e775d5.jpg", "IMG_jpg.rf.23e775d5"),
        ("my photo 3", "my photo 3"),
        ("my photo 3.JPG", "my photo 3"),
        ("/JPEGImages/my photo.jpg /Masks/my photo.png", "my photo"),
        ("data\\images\\a.b.jpeg", "a.b"),
        ("2008_000001 -1", "2008_000001"),
        ("2008_000001  1", "2008_000001"),
        ("a a", "a"),
    ],
)
def test_a_list_names_stems_with_dots_and_spaces(line: str, stem: str) -> None:
    assert listed_stem(line) == stem


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(MARK + "a\nb\n", encoding="utf-8")
    assert read_list(tmp_path / "train.txt") == ["a", "b"]
    classes = {"classes": [{"name": name} for name in ("a", "b")]}
    (tmp_path / "classes.json").write_text(MARK + json.dumps(classes), encoding="utf-8")
    assert read_labels(tmp_path / "classes.json").class_names == ["a", "b"]


@pytest.mark.parametrize(
    ("layout", "write"),
    [("ade20k", write_ade20k), ("voc2012", write_voc2012), ("pascal-context-59", write_pascal_context)],
)
def test_cameras_write_their_suffix_in_large_letters(tmp_path: Path, layout: Layout, write: object) -> None:
    assert callable(write)
    write(tmp_path)
    for photo in list(tmp_path.rglob("*.jpg")):
        photo.rename(photo.with_suffix(".JPG"))
    for mask in list(tmp_path.rglob("*.png")):
        mask.rename(mask.with_suffix(".PNG"))
    read_data(tmp_path, "train", layout=layout).load(0)


def test_a_folder_takes_masks_with_a_large_suffix(tmp_path: Path) -> None:
    root = write_folder(tmp_path, images=1)
    (root / "masks" / "train" / "0.png").rename(root / "masks" / "train" / "0.PNG")
    read_folder(root, "train").load(0)


def test_a_tools_export_in_vocs_layout_keeps_its_own_classes(tmp_path: Path) -> None:
    write_voc2012(tmp_path)
    (tmp_path / "class_names.txt").write_text("_background_\nbus\n" + "\n".join(f"c{i}" for i in range(19)))
    labels = read_data(tmp_path, "train", layout="voc2012").labels
    assert labels.class_names[:3] == ["background", "bus", "c0"]
    (tmp_path / "class_names.txt").write_text("_background_\nbus\n")
    with refused("unknown-mask-value", "0 … 1", 20):
        read_data(tmp_path, "train", layout="voc2012").load(0)


def test_an_export_whose_masks_are_colours_is_refused_with_the_command(tmp_path: Path) -> None:
    write_voc2012(tmp_path)
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\n")
    with refused("wrong-file", "labelmap.txt", f"data prepare {tmp_path}"):
        read_data(tmp_path, "train", layout="voc2012")


def write_turned(root: Path, *, orientation: int, size: tuple[int, int]) -> Path:
    """One photo that a flag turns, its mask as large as the upright photo."""
    root = write_folder(root, images=2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = size[::-1] if orientation >= 5 else size
    write_pair(root, "train", "phone", np.resize(blocks(0, 1, 2), upright[::-1]))
    noise_image(*size).save(root / "images" / "train" / "phone.png", exif=exif)
    return root


@pytest.mark.parametrize(
    ("orientation", "size", "unsure"),
    [
        (1, (64, 64), False),
        (6, (64, 64), True),
        (3, (64, 64), True),
        (3, (64, 48), True),
        (6, (64, 48), False),
    ],
)
def test_a_flag_that_size_cannot_tell_is_said(
    tmp_path: Path, orientation: int, size: tuple[int, int], unsure: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_turned(tmp_path, orientation=orientation, size=size)
    assert [path.stem for path in unsure_orientations(read_folder(root, "train"))] == ["phone"] * unsure
    read_splits(DataConfig(root))
    assert ("EXIF" in capsys.readouterr().out) == unsure


def test_a_photo_whose_size_tells_speaks_for_the_others(tmp_path: Path) -> None:
    root = write_turned(tmp_path / "a", orientation=6, size=(64, 64))
    other = write_turned(tmp_path / "b", orientation=6, size=(64, 48))
    for kind in ("images", "masks"):
        shutil.copy(other / kind / "train" / "phone.png", root / kind / "train" / "other.png")
    assert unsure_orientations(read_folder(root, "train")) == []
