"""What the tabs draw, as text: present classes, one scale, safe names. The browser test sees it as a picture."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.app.error_toasts import show_errors
from ecenet.app.layout import build_app
from ecenet.app.sidebar import photos
from ecenet.app.state.limits import Limits
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection, pixel_of
from ecenet.app.state.session import MAX_PHOTO_SIDE, Photo, Session, add_photo, add_photos
from ecenet.app.tabs import segment, similarity
from ecenet.data import images
from ecenet.data.stored_image import StoredImage
from ecenet.evaluation.tta import Averaging, averaged_label_maps
from ecenet.inference.oom_fallback import SteadyPredictor
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.helpers import encode, noise_image, small_model
from tests.support.predictions import STAGES, make_prediction
from tests.support.refusals import assert_names, refused
from tests.support.web.toasts import toasted

FINAL = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
COARSE = np.array([[2, 2, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)


def photo_with(name: str = "photo") -> Photo:
    return Photo(name, make_prediction(FINAL, stages={"ece": COARSE}))


def session_with(name: str = "photo") -> Session:
    return Session(stage_names=tuple(STAGES)).with_photo(photo_with(name))


def test_every_stage_is_sent_and_only_the_chosen_one_is_shown() -> None:
    page = segment.render_masks(photo_with(), "stage2", 0.3)
    masks = re.findall(r'<img class="ece-mask" data-stage="(\w+)"[^>]*?( hidden)?>', page)
    assert [stage for stage, _ in masks] == ["ece", "stage4", "stage3", "stage2", "stage1", "final"]
    assert [stage for stage, hidden in masks if not hidden] == ["stage2"]
    assert "--mask-opacity:0.3" in page


def test_legend_names_only_the_classes_that_a_stage_shows() -> None:
    page = segment.render_masks(photo_with(), "final", 0.6)
    legends = dict(re.findall(r'<table class="ece-legend" data-stage="(\w+)".*?<tbody>(.*?)</tbody>', page, re.DOTALL))
    assert "cat" in legends["ece"]
    assert "cat" not in legends["final"]
    assert "62.5%" in legends["final"], "dog covers five of eight pixels"
    assert "80%" in legends["final"], "its mean confidence"
    assert "agrees with the final mask on 75.0%" in page


def test_filmstrip_shows_every_stage_with_its_agreement_and_marks_the_chosen_one() -> None:
    page = segment.render_masks(photo_with(), "ece", 0.6)
    frames = re.findall(r'data-frame="(\w+)" aria-pressed="(\w+)".*?<small>(.*?)</small>', page, re.DOTALL)
    assert frames[0] == ("ece", "true", "75% as final")
    assert frames[1:] == [
        (name, "false", "100% as final") for name in ("stage4", "stage3", "stage2", "stage1", "final")
    ]


def test_of_several_photos_the_usable_ones_are_kept(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(Limits.photos + 2)]
    for path in paths:
        noise_image(16, 12).save(path)
    paths[1].write_bytes(b"no image")
    predictor = Predictor(small_model())
    session, problems = add_photos(Session(), [str(path) for path in paths], predictor=predictor)
    assert [photo.name for photo in session.photos] == ["0", *(str(number) for number in range(2, Limits.photos + 1))]
    assert len(problems) == 2
    assert "1.png" in problems[0], "which takes no room"
    assert_names(problems[1], Limits.photos, f"{Limits.photos + 1}.png")
    assert f" {Limits.photos}.png" not in problems[1], "it fitted"

    full, more = add_photos(session, [str(paths[0]), str(paths[2])], predictor=predictor)
    assert full.photos == session.photos, "none is given up for another"
    assert_names(more[0], "0.png", "2.png")
    with refused("too-many", "0.png", limit=Limits.photos):
        add_photo(session, str(paths[0]), predictor=predictor)


def test_removing_a_photo_selects_its_neighbour() -> None:
    session = Session(stage_names=tuple(STAGES))
    for name in "abc":
        session = session.with_photo(photo_with(name))
    session, selection = session.without_photo(Selection(photo=1))
    assert ([photo.name for photo in session.photos], selection.photo) == (["a", "c"], 1)
    session, selection = session.without_photo(selection)
    assert ([photo.name for photo in session.photos], selection.photo) == (["a"], 0)
    session, selection = session.without_photo(selection)
    assert session.photos == ()
    assert session.without_photo(selection)[0].photos == ()


def test_file_names_cannot_inject_html() -> None:
    page = segment.render_masks(photo_with('"><script>alert(1)</script>'), "final", 0.6)
    assert "<script>" not in page


def test_a_class_can_be_asked_for_and_the_largest_is_shown_otherwise() -> None:
    session = session_with()
    for asked, shown in (("background", "background"), ("cat", "cat"), (None, "dog"), ("zebra", "dog")):
        assert similarity.render(session, Selection(class_name=asked), "stages")[0].value == shown


def test_on_the_way_to_another_photo_the_class_stays_where_that_photo_has_it_at_any_stage() -> None:
    elsewhere = make_prediction(np.zeros((2, 4), dtype=np.uint8))
    selection = Selection(photo=0, stage="stage3", class_name="cat", pixel=(1, 1), revision=5)
    there = selection.with_photo(1, photo_with().prediction)
    assert there == Selection(photo=1, stage="stage3", class_name="cat", pixel=None, revision=5), (
        "its coarse mask has one"
    )
    assert selection.with_photo(1, elsewhere).class_name is None


def test_pixels_outside_the_photo_are_refused() -> None:
    prediction = photo_with().prediction
    assert pixel_of(prediction, 3, 1) == (3, 1)
    for x, y in ((4, 0), (0, 2), (-1, 0), (1.5, 0), ("1", 0), (None, None), (True, 0), ([1], 0)):
        with refused("out-of-range", "x in 0 … 3", "y in 0 … 1", (x, y)):
            pixel_of(prediction, x, y)


def test_a_click_on_the_same_photo_does_not_draw_it_again() -> None:
    selection = Selection()
    assert replace(selection, stage="ece", class_name="dog", pixel=(0, 0)).followed("photo") == selection.followed(
        "photo"
    )
    assert selection.with_photo(1, photo_with().prediction).followed("photo") != selection.followed("photo")
    assert selection.revised().followed("photo") != selection.followed("photo"), "the session has changed"


def test_what_shows_a_stage_is_not_drawn_again_for_a_class_or_a_pixel() -> None:
    selection = Selection()
    assert replace(selection, class_name="dog", pixel=(0, 0)).followed("stage") == selection.followed("stage")
    for other in (replace(selection, stage="ece"), replace(selection, photo=1), selection.revised()):
        assert other.followed("stage") != selection.followed("stage")


def test_another_truth_is_heard_of_by_those_who_compare_with_it_alone() -> None:
    selection = Selection(stage="ece", pixel=(1, 1))
    assert selection.with_other_truth().followed("stage") != selection.followed("stage")
    assert selection.with_other_truth().followed("photo") == selection.followed("photo"), "photos and masks stay"
    assert replace(selection.with_other_truth(), truths=0) == selection


def test_a_stage_that_was_picked_meanwhile_is_not_taken_back() -> None:
    session = session_with()
    assert "value" not in segment.render_controls(session, Selection(stage="ece"), "ece")[0].constructor_args
    assert segment.render_controls(session, Selection(stage="ece"), "final")[0].value == "ece"
    assert segment.render_controls(session, Selection(stage="stage9"), "stage9")[0].value == "final"


def test_before_any_photo_there_is_a_picture_of_what_comes() -> None:
    page = segment.render_masks(None, "final", 0.6)
    encoded = re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert encoded is not None
    assert Image.open(io.BytesIO(base64.b64decode(encoded[1]))).width > 1000
    assert len(page) < 60_000, "it goes out with every page"


def test_empty_session_says_what_to_do() -> None:
    assert "photo" in segment.render_masks(None, "final", 0.6)
    assert "photo" in similarity.render(Session(), Selection(), "stages")[1]


def test_session_gives_up_no_photo_for_another_and_shows_the_last_for_a_choice_that_is_none() -> None:
    session = Session()
    for number in range(Limits.photos):
        session = session.with_photo(Photo(str(number), make_prediction(FINAL)))
    with refused("too-many", Limits.photos, "another", limit=Limits.photos):
        session.with_photo(Photo("another", make_prediction(FINAL)))
    assert [photo.name for photo in session.photos] == [str(number) for number in range(Limits.photos)]
    assert session.photo(Selection(photo=3)) is session.photos[3]
    assert session.photo(Selection(photo=99)) is session.photos[-1]
    assert Session().photo(Selection()) is None


def test_large_photos_are_scaled_down_on_arrival(tmp_path: Path) -> None:
    noise_image(2000, 500).save(tmp_path / "wide.png")
    session = add_photo(Session(), str(tmp_path / "wide.png"), predictor=Predictor(small_model()))
    assert session.photos[0].prediction.image.size == (MAX_PHOTO_SIDE, MAX_PHOTO_SIDE // 4)


def test_a_photo_that_is_too_long_is_refused_with_its_own_size(tmp_path: Path) -> None:
    noise_image(8, 6000).save(tmp_path / "ribbon.png")
    noise_image(16, 2048).save(tmp_path / "strip.png")
    predictor = Predictor(small_model())
    with refused("image-too-small", "ribbon.png", "8×6000", limit=8):
        add_photo(Session(), str(tmp_path / "ribbon.png"), predictor=predictor)
    strip = add_photo(Session(), str(tmp_path / "strip.png"), predictor=predictor)
    assert strip.photos[0].prediction.image.size == (8, 1024)


def test_what_is_there_of_a_photo_is_shown_and_what_is_missing_told(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(encode(noise_image(64, 48), "JPEG")[:-2])
    session = add_photo(Session(), str(tmp_path / "cut.jpg"), predictor=Predictor(small_model()))
    assert session.photos[0].prediction.note == "64×48 image, the end of the file is missing"


def test_a_large_photo_is_converted_once_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at it after its arrival keeps the very image."""
    noise_image(1600, 1200).save(tmp_path / "large.png")
    converted: list[tuple[int, int]] = []
    to_rgb = images.to_rgb

    def counted(stored: StoredImage) -> Image.Image:
        converted.append(stored.image.size)
        return to_rgb(stored)

    monkeypatch.setattr(images, "to_rgb", counted)
    predictor = SteadyPredictor(small_model(), device="cpu")
    session = add_photo(Session(), str(tmp_path / "large.png"), predictor=predictor)
    kept = session.photos[0].prediction.image
    assert predictor.predict(kept).image is kept
    assert predictor.extract_features(kept).image is kept
    averaged_label_maps(predictor, kept, Averaging(flip=True))
    assert converted == [(1600, 1200)]


def test_a_bad_photo_leaves_the_session_as_it_was_and_becomes_a_toast(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    session = session_with()
    with refused("file-damaged", "empty.png"):
        add_photo(session, str(tmp_path / "empty.png"), predictor=Predictor(small_model()))
    with toasted("file-damaged", "empty.png"):
        show_errors(add_photo)(session, str(tmp_path / "empty.png"), predictor=Predictor(small_model()))
    assert len(session.photos) == 1


def test_examples_come_from_installed_packages() -> None:
    paths = [path for path, _ in photos.example_photos()]
    names = ["chelsea.png", "astronaut.png", "china.jpg", "coffee.png", "motorcycle_left.png", "tower.jpg"]
    assert [Path(path).name for path in paths] == names


def test_the_page_builds_for_any_weights(tmp_path: Path, umap: UmapWorker) -> None:
    save_model(small_model(), tmp_path / "weights")
    registry = ModelRegistry(tmp_path / "weights", runs=tmp_path / "runs")
    app = build_app(registry, umap=umap, runs=tmp_path / "runs")
    assert isinstance(app, gr.Blocks)
    public = {event.api_name for event in app.fns.values() if event.api_visibility != "private"}
    assert public == {"segment", "similarity", "embed", "consistency", "faithfulness", "what_if", "match"}
    lists = {"class-picker", "without-classes", "edit-class", "edit-other", "move-class", "move-into"}
    found = {block.elem_id: block for block in app.blocks.values() if getattr(block, "elem_id", None) in lists}
    assert set(found) == lists
    assert all(isinstance(block, gr.Dropdown) and block.filterable for block in found.values()), "typing searches"
