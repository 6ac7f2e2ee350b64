"""A session as a zip: what is in it can be read by other tools, it opens again, and a forged one does no harm."""

import json
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from ecenet.analysis.diagnostics.ground_truth import Truth
from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.app.sidebar.session_file import open_session, save_session, warn_of_size
from ecenet.app.state.limits import Limits
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import MAX_PHOTO_SIDE, Session, add_photo, new_session
from ecenet.app.state.session_zip import MAX_VIEW_BYTES, Entry, read_bundle, write_bundle
from ecenet.inference.weights import save_model
from tests.support.fitters import ScriptedFitter
from tests.support.helpers import noise_image, small_model
from tests.support.hostile.file_bombs import zip_entries
from tests.support.predictions import STAGES, make_prediction
from tests.support.refusals import refused

LIMITS = Limits(photos=5)
FINAL = np.array([[0, 1, 1, 1], [2, 2, 1, 1]], dtype=np.uint8)


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    save_model(small_model(), tmp_path / "own")
    return ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")


def session_of(registry: ModelRegistry, folder: Path, *, photos: int) -> Session:
    session = new_session(registry)
    for number in range(photos):
        noise_image(40 + number, 30).save(folder / "noise.png")
        session = add_photo(session, str(folder / "noise.png"), predictor=registry.open(session.model))
    return session


def forge(path: Path, view: Any, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("view.json", view if isinstance(view, (str, bytes)) else json.dumps(view))
        for name, content in files.items():
            bundle.writestr(name, content)
    return path


def projection_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as bundle:
        described: dict[str, Any] = json.loads(bundle.read("projection.json"))
    return described


def test_other_tools_can_read_masks_and_embeddings(tmp_path: Path) -> None:
    photos = [Entry("a cat", make_prediction(FINAL)), Entry("a cat", make_prediction(FINAL[:, ::-1].copy()))]
    write_bundle(tmp_path / "s.zip", photos=photos, view={"model": "m"})
    with zipfile.ZipFile(tmp_path / "s.zip") as bundle:
        bundle.extractall(tmp_path / "out")
    folder = tmp_path / "out" / "a cat-1"
    assert np.array_equal(np.asarray(Image.open(folder / "stages" / "stage3.png")), FINAL)
    annotations = json.loads((folder / "coco" / "final.json").read_text())
    assert [(one["category"], one["area"]) for one in annotations] == [("dog", 5), ("cat", 2), ("background", 1)]
    decoded = coco_mask.decode(annotations[1]["segmentation"])
    assert np.array_equal(decoded, FINAL == 2)
    assert annotations[1]["bbox"] == [0.0, 1.0, 2.0, 1.0]

    frame = pd.read_parquet(tmp_path / "out" / "embeddings.parquet")
    assert len(frame) == 2 * 5 * 3, "two photos, five stages with embeddings of their own, three classes"
    assert frame["embedding"].iloc[0].tolist() == photos[0][1].stages["ece"].embeddings[1].tolist()


def test_a_session_opens_again_where_it_was_left(registry: ModelRegistry, tmp_path: Path) -> None:
    session = session_of(registry, tmp_path, photos=2)
    selection = Selection(photo=1, stage="stage2", class_name="grass", pixel=(40, 3), revision=9)
    mask = np.full((30, 41), 255, dtype=np.uint8)
    mask[3:9] = 2
    session = session.with_truth(selection, Truth(mask, tuple(session.photos[0].prediction.class_names)))
    opened = open_session(
        save_session(session, selection, None, registry=registry, fitter=ScriptedFitter()), registry=registry
    )
    assert opened.same_weights
    assert opened.selection == Selection(photo=1, stage="stage2", class_name="grass", pixel=(40, 3))
    assert [photo.name for photo in opened.session.photos] == ["noise", "noise"]
    assert opened.session.photos[0].truth is None
    true_mask = opened.session.photos[1].true_mask
    assert true_mask is not None
    assert np.array_equal(true_mask, mask)
    for ours, theirs in zip(opened.session.photos, session.photos, strict=True):
        assert np.array_equal(ours.prediction.label_map, theirs.prediction.label_map)
        assert np.array_equal(
            ours.prediction.stages["stage1"].embeddings, theirs.prediction.stages["stage1"].embeddings
        )


def test_the_map_is_taken_along_with_its_parameters(registry: ModelRegistry, tmp_path: Path) -> None:
    session = session_of(registry, tmp_path, photos=2)
    predictions = [photo.prediction for photo in session.photos]
    drawn = draw_map(predictions, MapRequest(), previous=None, fitter=ScriptedFitter())
    path = save_session(session, Selection(), drawn, registry=registry, fitter=ScriptedFitter())
    saved = projection_of(path)
    assert saved["options"] == {"method": "UMAP", "dimensions": 2, "seed": 0, "neighbors": 15, "min_dist": 0.2} | {
        "perplexity": 30
    }
    assert len(saved["points"]) == len(drawn.points)
    assert saved["points"][-1]["photo"] == 1
    assert saved["points"][3]["position"] == pytest.approx(drawn.projection.coordinates[3], abs=1e-4)


def test_a_map_that_was_never_looked_at_is_drawn_for_the_file(registry: ModelRegistry, tmp_path: Path) -> None:
    session, waiting = session_of(registry, tmp_path, photos=2), ScriptedFitter(ready=False)
    other = draw_map([session.photos[0].prediction], MapRequest(), previous=None, fitter=ScriptedFitter())
    for shown in (None, other):
        path = save_session(session, Selection(), shown, registry=registry, fitter=waiting)
        saved = projection_of(path)
        assert saved["method"] == "PCA", "what it was in truth: UMAP is not there yet"
        assert {point["photo"] for point in saved["points"]} == {0, 1}


def test_a_map_of_very_many_points_does_not_keep_the_file_from_being_opened(tmp_path: Path) -> None:
    photos = [Entry("a cat", make_prediction(np.tile(FINAL, (10, 5))))]
    point = {"photo": 1, "stage": "stage1", "class": "background", "reference": True, "position": [1.2345, 6.789]}
    write_bundle(tmp_path / "s.zip", photos=photos, view={"model": "m"}, projection={"points": [point] * 20_000})
    assert read_bundle(tmp_path / "s.zip", limits=LIMITS).view == {"model": "m", "format": 1}
    assert len(projection_of(tmp_path / "s.zip")["points"]) == 20_000


def test_a_file_that_the_page_would_not_take_back_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", told.append)
    warn_of_size(32 << 20, Limits(megabytes=32))
    assert not told
    warn_of_size((32 << 20) + 1, Limits(megabytes=32))
    (sentence,) = told
    assert "33 MB" in sentence
    assert "--max-megabytes 33" in sentence


def test_changed_weights_are_noticed(registry: ModelRegistry, tmp_path: Path) -> None:
    path = save_session(
        session_of(registry, tmp_path, photos=1), Selection(), None, registry=registry, fitter=ScriptedFitter()
    )
    save_model(small_model(seed=1), tmp_path / "own")
    assert not open_session(path, registry=ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")).same_weights


def test_an_empty_session_cannot_be_saved(registry: ModelRegistry) -> None:
    with refused("not-there-yet", "photo"):
        save_session(new_session(registry), Selection(), None, registry=registry, fitter=ScriptedFitter())


def test_what_is_no_saved_session_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as bundle:
        bundle.writestr("readme.txt", "hello")
    photo = {"name": "x", "file": "../../etc/passwd"}
    for path in (
        tmp_path / "text.zip",
        tmp_path / "other.zip",
        forge(tmp_path / "a.zip", "not json"),
        forge(tmp_path / "b.zip", [1]),
        forge(tmp_path / "c.zip", {"format": 99, "photos": []}),
        forge(tmp_path / "d.zip", {"format": 1, "photos": [3]}),
        forge(tmp_path / "e.zip", {"format": 1, "photos": [photo]}),
    ):
        with refused("file-damaged", path.name, ".zip"):
            read_bundle(path, limits=LIMITS)


def test_a_zip_that_is_too_much_is_refused(tmp_path: Path) -> None:
    with refused("file-too-large", "1 MB", limit=MAX_VIEW_BYTES):
        read_bundle(forge(tmp_path / "bomb.zip", b" " * (MAX_VIEW_BYTES + 1)), limits=LIMITS)
    (tmp_path / "entries.zip").write_bytes(zip_entries())
    with refused("file-damaged", "entries.zip"):
        read_bundle(tmp_path / "entries.zip", limits=LIMITS)
    many = {"format": 1, "photos": [{"name": "x", "file": "x"}] * (Limits().photos + 1)}
    with refused("too-many", "20 photos", "many.zip", 21, limit=20):
        read_bundle(forge(tmp_path / "many.zip", many), limits=Limits())
    damaged = {"format": 1, "photos": [{"name": "x", "file": "x.png"}]}
    with refused("wrong-file", "PNG"):
        read_bundle(forge(tmp_path / "damaged.zip", damaged, **{"x.png": b"no image"}), limits=LIMITS)


@pytest.mark.parametrize(
    "selection",
    [None, [], {"photo": 7}, {"photo": "0", "stage": 5, "class_name": ["x"]}, {"pixel": [1e9, 0]}, {"pixel": [[], {}]}],
)
def test_a_forged_selection_is_left_out(registry: ModelRegistry, tmp_path: Path, selection: Any) -> None:
    noise_image(2000, 40).save(tmp_path / "wide.png")
    view = {"format": 1, "model": "own", "photos": [{"name": "<b>", "file": "p.png"}], "selection": selection}
    path = forge(tmp_path / "f.zip", view, **{"p.png": (tmp_path / "wide.png").read_bytes()})
    opened = open_session(path, registry=registry)
    assert opened.selection == Selection()
    assert opened.session.photos[0].prediction.image.width == MAX_PHOTO_SIDE, "large ones are scaled down as ever"
    assert set(opened.session.stage_names) == set(STAGES)


def test_a_model_that_is_not_on_the_list_is_not_opened(registry: ModelRegistry, tmp_path: Path) -> None:
    for model in ("/etc", "run:../../x", None):
        with refused("unknown-choice", "model", repr(str(model))):
            open_session(forge(tmp_path / "m.zip", {"format": 1, "model": model, "photos": []}), registry=registry)
