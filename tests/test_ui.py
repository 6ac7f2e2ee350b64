"""What the tabs draw, as text: present classes, one scale, safe names. The browser test sees it as a picture."""

import re
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from helpers import noise_image, small_model
from predictions import make_prediction

from app import build_app
from ecenet.errors import UserError
from ecenet.explore.umap_worker import UmapWorker
from ecenet.predictor import Predictor
from ecenet.ui import embeddings, photos, segment, similarity
from ecenet.ui.session import MAX_PHOTO_SIDE, MAX_PHOTOS, Photo, Session, add_photo
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.toast import show_errors
from ecenet.weights import save_model

FINAL = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
COARSE = np.array([[2, 2, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)


def session_with(name: str = "photo") -> Session:
    return Session().with_photo(Photo(name, make_prediction(FINAL, stages={"ece": COARSE})))


def test_every_stage_is_sent_and_only_the_chosen_one_is_shown() -> None:
    page = segment.render_masks(session_with(), "stage2", 0.3)
    masks = re.findall(r'<img class="ece-mask" data-stage="(\w+)"[^>]*?( hidden)?>', page)
    assert [stage for stage, _ in masks] == ["ece", "stage4", "stage3", "stage2", "stage1", "final"]
    assert [stage for stage, hidden in masks if not hidden] == ["stage2"]
    assert "--mask-opacity:0.3" in page


def test_legend_names_only_the_classes_that_a_stage_shows() -> None:
    page = segment.render_masks(session_with(), "final", 0.6)
    legends = dict(re.findall(r'<table class="ece-legend" data-stage="(\w+)".*?<tbody>(.*?)</tbody>', page, re.DOTALL))
    assert "cat" in legends["ece"]
    assert "cat" not in legends["final"]
    assert "62.5%" in legends["final"], "dog covers five of eight pixels"
    assert "80%" in legends["final"], "its mean confidence"
    assert "agrees with the final mask on 75.0%" in page


def test_filmstrip_shows_every_stage_with_its_agreement_and_marks_the_chosen_one() -> None:
    page = segment.render_masks(session_with(), "ece", 0.6)
    frames = re.findall(r'data-frame="(\w+)" aria-pressed="(\w+)".*?<small>(.*?)</small>', page, re.DOTALL)
    assert frames[0] == ("ece", "true", "75% as final")
    assert frames[1:] == [
        (name, "false", "100% as final") for name in ("stage4", "stage3", "stage2", "stage1", "final")
    ]


def test_file_names_cannot_inject_html() -> None:
    page = segment.render_masks(session_with('"><script>alert(1)</script>'), "final", 0.6)
    assert "<script>" not in page


def test_similarity_maps_share_one_scale_over_all_stages() -> None:
    session = session_with()
    page = similarity.render_maps(session, "dog")
    assert page.count("<figure>") == 6
    assert similarity.similarity_range(session.photos[0].prediction, 1) == (-5.0, 5.0)
    assert ">-5.0<" in page
    assert ">5.0<" in page


def test_class_choice_stays_where_the_class_is_present_and_moves_where_it_is_not() -> None:
    session = session_with()
    assert similarity.render(session, "background")[0].value == "background"
    assert similarity.render(session, "cat")[0].value == "dog", "cat is not in the final mask"


def test_empty_session_says_what_to_do(umap: UmapWorker) -> None:
    assert "photo" in segment.render_masks(Session(), "final", 0.6)
    assert "photo" in similarity.render_maps(Session(), None)
    plot, note, _ = embeddings.render(Session(), "class", umap=umap)
    assert plot is None
    assert "Add a photo" in note


def test_session_keeps_the_newest_photos_and_ignores_a_choice_that_is_none() -> None:
    session = Session()
    for number in range(MAX_PHOTOS + 3):
        session = session.with_photo(Photo(str(number), make_prediction(FINAL)))
    assert len(session.photos) == MAX_PHOTOS
    assert session.current is not None
    assert session.current.name == str(MAX_PHOTOS + 2)
    assert session.select(99) is session
    assert session.select(-1) is session
    assert session.select(0).current is session.photos[0]


def test_large_photos_are_scaled_down_on_arrival(tmp_path: Path) -> None:
    noise_image(2000, 500).save(tmp_path / "wide.png")
    session = add_photo(Session(), str(tmp_path / "wide.png"), predictor=Predictor(small_model()))
    assert session.current is not None
    assert session.current.prediction.image.size == (MAX_PHOTO_SIDE, MAX_PHOTO_SIDE // 4)


def test_a_bad_photo_leaves_the_session_as_it_was_and_becomes_a_toast(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    session = session_with()
    with pytest.raises(UserError, match="empty"):
        add_photo(session, str(tmp_path / "empty.png"), predictor=Predictor(small_model()))
    with pytest.raises(gr.Error, match="empty"):
        show_errors(add_photo)(session, str(tmp_path / "empty.png"), predictor=Predictor(small_model()))
    assert len(session.photos) == 1


def test_examples_come_from_installed_packages() -> None:
    paths = [path for path, _ in photos.example_photos()]
    assert [Path(path).name for path in paths] == ["chelsea.png", "astronaut.png", "china.jpg"]


def test_the_page_builds_for_any_weights(tmp_path: Path, umap: UmapWorker) -> None:
    save_model(small_model(), tmp_path / "weights")
    shelf = ModelShelf(tmp_path / "weights", runs=tmp_path / "runs")
    app = build_app(shelf, umap=umap, runs=tmp_path / "runs")
    assert isinstance(app, gr.Blocks)
    assert all(event.api_visibility == "private" for event in app.fns.values())
