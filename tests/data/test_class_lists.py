"""Class names and colours in the forms that people have them."""

import json
from pathlib import Path

import pytest

from ecenet.data.class_lists import ClassList, read_class_list
from ecenet.data.labels import read_labels
from tests.support.refusals import refused

EXPECTED = ClassList(["sky", "cat's eye", "road 2"], [(70, 130, 180), (255, 0, 16), (1, 2, 3)])
PLAIN = ["sky", "cat's eye", "road 2"]

FORMS = {
    "name and numbers": ("txt", "sky 70 130 180\ncat's eye 255 0 16\nroad 2 1 2 3\n"),
    "numbers first": ("txt", "70 130 180\tsky\n255 0 16\tcat's eye\n1 2 3 road 2\n"),
    "commas": ("csv", "name,r,g,b\nsky,70,130,180\ncat's eye,255,0,16\nroad 2,1,2,3\n"),
    "hex": ("txt", "sky #4682b4\ncat's eye #FF0010\nroad 2: #010203\n"),
    "CVAT": (
        "txt",
        "# label:color_rgb:parts:actions\nsky:70,130,180::\ncat's eye:255,0,16::\nroad 2:1,2,3:a,b:\n",
    ),
    "pairs": ("json", json.dumps([["sky", "#4682b4"], ["cat's eye", [255, 0, 16]], ["road 2", [1, 2, 3]]])),
    "mapping": ("json", json.dumps({"sky": "#4682b4", "cat's eye": [255, 0, 16], "road 2": [1, 2, 3]})),
    "ours": (
        "json",
        json.dumps({"classes": [{"name": n, "color": c} for n, c in zip(PLAIN, EXPECTED.colors, strict=True)]}),
    ),
    "mmsegmentation": ("json", json.dumps({"classes": PLAIN, "palette": EXPECTED.colors})),
}


@pytest.mark.parametrize(("suffix", "text"), FORMS.values(), ids=FORMS)
def test_names_with_colours(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"classes.{suffix}"
    path.write_text("\ufeff" + text, encoding="utf-8")
    assert read_class_list(path) == EXPECTED


@pytest.mark.parametrize(("suffix", "text"), FORMS.values(), ids=FORMS)
def test_data_sets_have_their_classes_in_the_same_forms(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"classes.{suffix}"
    path.write_text(text, encoding="utf-8")
    labels = read_labels(path)
    assert labels.class_names == EXPECTED.names
    assert labels.class_colors == [list(color or ()) for color in EXPECTED.colors]
    assert labels.name == tmp_path.name


def test_a_plain_list_of_names_is_enough_to_train(tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(PLAIN))
    labels = read_labels(path)
    assert labels.class_names == PLAIN
    assert len({tuple(color) for color in labels.class_colors}) == 3


@pytest.mark.parametrize(("suffix", "text"), [("txt", "\n".join(PLAIN)), ("json", json.dumps(PLAIN))])
def test_names_alone(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"classes.{suffix}"
    path.write_text(text)
    found = read_class_list(path)
    assert (found.names, found.has_colors) == (PLAIN, False)
    assert len({tuple(color) for color in found.shown_colors()}) == 3


@pytest.mark.parametrize(
    ("text", "named"), [("{", "JSON"), ('["a", "a"]', "'a' occurs twice"), ('[["a", "#12"]]', "'#12'"), ("[]", 0)]
)
def test_lists_that_cannot_be_used_show_the_forms(tmp_path: Path, text: str, named: object) -> None:
    path = tmp_path / "classes.json"
    path.write_text(text)
    with refused("invalid-labels", path, named):
        read_class_list(path)
