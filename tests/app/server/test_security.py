"""What strangers may try against the app as the public gets it; SECURITY.md names a test for each threat.

Forged events go over the wire, to every event that the page has. Whether a file is opened is told by Python itself.
"""

import json
import random
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import plotly
import pytest
import skimage.data
from gradio.data_classes import _StaticFiles
from gradio.utils import get_upload_folder

from ecenet.app.state.session_zip import Entry, write_bundle
from ecenet.app.uploads.files import NOT_UPLOADED
from ecenet.inference import weights
from tests.support.helpers import write_folder
from tests.support.predictions import make_prediction
from tests.support.refusals import assert_names, refused
from tests.support.web.serving import FILE, Served
from tests.support.web.visitors import Visitor, opened_in, route, sentence

ROOT = Path(__file__).parents[3]
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ANSWERS = ("Expected", "Something went wrong on the server", "File ")
"""How sentences begin that a visitor may read; the last is Gradio's, about a path that the visitor sent."""


def test_the_file_route_knows_uploads_and_results_alone(api: Served, tmp_path: Path) -> None:
    cache = get_upload_folder()
    for path in (
        "/etc/passwd",
        "/proc/self/environ",
        "app.py",
        ".git",
        ".gitignore",
        str(ROOT / "README.md"),
        str(weights.WEIGHTS_DIR / "everyday" / "config.json"),
        skimage.data.__file__,
        f"{cache}/../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "file:///etc/passwd",
        cache,
        str(tmp_path),
    ):
        assert route(api, f"file={path}").status_code in (403, 404), path
    own = {path for path in _StaticFiles.all_paths if not Path(path).is_relative_to(Path(gr.__file__).resolve().parent)}
    assert {Path(path).resolve() for path in own} == {PLOTLY.resolve()}
    assert route(api, f"file={PLOTLY}").status_code == 200


@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.js", "x.xml", "x.pdf", "x", ".htaccess", "...jpg"])
def test_uploads_come_back_as_downloads_and_never_as_pages(api: Served, visitor: Visitor, name: str) -> None:
    active = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    path = visitor.upload(name, active)["path"]
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = route(api, f"file={path}", **headers)
        assert answer.status_code in (200, 206)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")


def test_no_event_opens_a_path_or_fails_without_a_sentence(visitor: Visitor, tmp_path: Path) -> None:
    """Every event of the page, with values of every wrong kind; the server's files are ones that could be read."""
    cat = (Path(skimage.data.__file__).parent / "chelsea.png").read_bytes()
    secret = tmp_path / "secret.png"
    secret.write_bytes(cat)
    unmarked = {"path": str(secret)}
    values: list[Any] = [
        None,
        "",
        str(secret),
        -1,
        1e308,
        True,
        [],
        {},
        [str(secret)],
        unmarked,
        unmarked | FILE,
        [unmarked],
    ]
    values += [{"path": f"{get_upload_folder()}/../x"}, {"path": "file:///etc/passwd"}, {"index": [], "map": 1}]
    chance = random.Random(0)
    assert visitor.add("cat.png", cat)["success"]
    with opened_in(tmp_path) as opened:
        listeners = visitor.listeners
        assert len(listeners) > 70
        for start in range(0, len(listeners), 24):
            calls = []
            for listener in listeners[start : start + 24]:
                data = [chance.choice(values) for _ in listener["inputs"]]
                kept = visitor.inputs(listener, "")
                data = [None if keep is None else value for keep, value in zip(kept, data, strict=True)]
                calls.append((listener, data, chance.choice(values)))
            for (listener, data, _), answer in zip(calls, visitor.send(calls), strict=True):
                said = sentence(answer)
                assert answer["success"] or said.startswith(ANSWERS), (listener["api_name"], data, said)
                assert str(ROOT) not in said, (listener["api_name"], data)
        assert not opened


def test_a_path_is_no_photo_however_it_is_dressed(visitor: Visitor, tmp_path: Path) -> None:
    """Of all places where files come in; Gradio itself opens a path that is not marked as a file."""
    secret = tmp_path / "secret.png"
    secret.write_bytes((Path(skimage.data.__file__).parent / "chelsea.png").read_bytes())
    photo = visitor.upload("cat.png", secret.read_bytes())
    with opened_in(tmp_path) as opened:
        for place in ("photo-input", "several-photos", "open-session", "open-bank", "truth-upload", "open-class"):
            listener = visitor.listener(place)
            calls = []
            for file in (
                {"path": str(secret)},
                {"path": str(secret), "url": photo["path"], **FILE},
                {"path": f"{get_upload_folder()}/../{tmp_path.name}/secret.png"},
                {"path": get_upload_folder()},
            ):
                sent = [file] if place == "several-photos" else file
                calls.append((listener, visitor.inputs(listener, sent), None))
            assert {sentence(answer) for answer in visitor.send(calls)} == {NOT_UPLOADED}, place
    assert not opened


def test_what_is_refused_does_not_tell_where_files_lie(visitor: Visitor) -> None:
    cat = (Path(skimage.data.__file__).parent / "chelsea.png").read_bytes()
    assert visitor.add("cat.png", cat)["success"]
    for place, name in (
        ("photo-input", "x.png"),
        ("open-session", "x.zip"),
        ("open-bank", "x.parquet"),
        ("truth-upload", "x.png"),
        ("open-class", "x.safetensors"),
    ):
        listener = visitor.listener(place)
        bad = [visitor.upload(name, content) for content in (b"", b"no such file", cat[:2000])]
        for answer in visitor.send([(listener, visitor.inputs(listener, file), None) for file in bad]):
            said = sentence(answer)
            assert said.startswith("Expected"), (place, said)
            assert "/" not in said.replace("WebP/", ""), (place, said)


def test_an_emptied_or_forged_choice_leaves_the_session_usable(visitor: Visitor) -> None:
    picker, clear = visitor.listener("class-picker"), visitor.listener("clear-photos")
    forged = [(picker, visitor.inputs(picker, value), None) for value in ([], ["cat"], {"cat": 1}, None)]
    *refused, usable = visitor.send([*forged, (clear, [None, None], None)])
    assert all(sentence(answer).startswith("Expected") for answer in refused)
    assert usable["success"]


def test_in_public_there_are_no_trainings_and_no_folders(visitor: Visitor, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", splits=("train", "val"), images=2)
    named = [str(one["props"].get("elem_id", "")) for one in visitor.api.client.config["components"]]
    assert not [one for one in named if one.startswith(("run-", "start-run", "stop-run", "resume-run"))]
    for form in (visitor.element("bank-data"), visitor.element("bank-layout")):
        assert form["id"] in {number for one in visitor.listeners for number in one["inputs"]}, "still can be called"
    with opened_in(tmp_path) as opened:
        drawn = visitor.send([(visitor.listener("class-spreads", output=True), [None] * 4, None)])
        assert drawn[0]["success"], "the matrix of the bank beside the weights, and a list of its worst images"
        listener = visitor.listener("bank-data")
        (names,) = visitor.send([(listener, [None, None, None, str(data), "folder"], None)])
        assert "<li>" in names["output"]["data"][0]
        assert "<img" not in names["output"]["data"][0]
        card = visitor.listener("cell-images")
        answer = visitor.send([(card, [*[None] * 4, str(data), "folder"], {"index": 0})])
        assert_names(sentence(answer[0]), "folder of the images")
    assert not opened


def test_only_names_of_the_list_choose_a_model(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_download(*args: object, **options: object) -> None:
        raise AssertionError("nothing may be fetched for a visitor")

    monkeypatch.setattr(weights, "snapshot_download", no_download)
    picker, other = visitor.listener("model-picker"), visitor.listener("other-picker")
    for key in ("owner/name", "../everyday", str(weights.WEIGHTS_DIR / "camvid"), "run:../../etc", "weights:../camvid"):
        calls = [(one, visitor.inputs(one, key), None) for one in (picker, other)]
        for answer in visitor.send(calls):
            assert "(Value: " in sentence(answer)


def test_a_folder_that_has_gone_is_not_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(weights, "snapshot_download", lambda *args, **options: asked.append(args))
    with refused("weights-not-found", "'mine/best'"):
        weights.load_model(Path("mine/best"))
    assert not asked


def test_a_photos_name_is_no_way_out_of_the_saved_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture may be called `...jpg`, whose stem is the folder above; names in a saved session are anybody's."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    prediction = make_prediction(np.zeros((8, 8), dtype=np.uint8))
    names = ["..", ".", "", "../../up", "/etc/passwd", "a\0b", "x" * 5000, "…" * 300, "cat", "cat"]
    write_bundle(tmp_path / "saved.zip", photos=[Entry(name, prediction) for name in names], view={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved.zip", "temporary"]
    assert not any((tmp_path / "temporary").iterdir())
    with zipfile.ZipFile(tmp_path / "saved.zip") as bundle:
        folders = {name.partition("/")[0] for name in bundle.namelist() if "/" in name}
        view = json.loads(bundle.read("view.json"))
    assert {"photo-1", "photo-2", "photo-3", "up", "passwd", "a_b", "cat-1", "cat-2"} < folders
    assert len(folders) == len(names)
    assert [photo["name"] for photo in view["photos"]] == names


def test_every_threat_names_tests_that_there_are() -> None:
    """In SECURITY.md; a name without a file is of the file before it."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "::" in line]
    assert len(rows) > 12
    short = dict(re.findall(r"`([A-Z])`\s+(?:stands )?for\s+\[`[\w/]+\.py`\]\(tests/([\w/]+\.py)\)", text))
    assert len(short) == 5
    for row in rows:
        file = ""
        for named, test in re.findall(r"`([\w./]*)::(\w+)`", row):
            file = short.get(named, named) or file
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{test}"
