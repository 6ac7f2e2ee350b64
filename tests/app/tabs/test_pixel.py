"""The Pixel tab without a browser: its sentence, its views, and how it takes a ground truth."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from ecenet.analysis.diagnostics.ground_truth import Truth, compare_with_truth, read_truth
from ecenet.analysis.diagnostics.pixel_probe import probe_pixel
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs import ground_truth, pixel
from ecenet.inference.prediction import Prediction
from tests.support.predictions import CLASS_NAMES, STAGES, make_prediction
from tests.support.refusals import refused

FINAL = np.array([[0, 1, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
COARSE = np.array([[2, 2, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)


def session_with(prediction: Prediction, *, name: str = "photo") -> Session:
    return Session(stage_names=tuple(STAGES)).with_photo(Photo(name, prediction))


def sentence(*classes: int) -> str:
    maps = [np.array([[k]], dtype=np.uint8) for k in classes]
    prediction = make_prediction(maps[-1], stages=dict(zip(STAGES, maps, strict=True)))
    return pixel.blame_sentence(prediction, probe_pixel(prediction, 0, 0))


def test_the_sentence_says_first_that_the_answer_is_unsure() -> None:
    labels = np.array([[1]], dtype=np.uint8)
    prediction = make_prediction(labels)
    prediction.final.mask_logits[:] = np.log([0.3, 0.4, 0.3])[:, None, None]
    probe = probe_pixel(prediction, 0, 0)
    told = pixel.blame_sentence(replace(prediction, unsure_below=0.41), probe)
    assert told.startswith("Unsure: best guess dog, 40%. Decided at Coarse (ECE): dog (100%)")
    for below in (None, 0.4):
        assert pixel.blame_sentence(replace(prediction, unsure_below=below), probe).startswith("Decided at")


def test_the_sentence_tells_who_decided_and_what_was_before() -> None:
    assert sentence(1, 1, 2, 2, 2, 2) == (
        "Decided at Stage 3: dog (100%) before, cat (100%) from then on. "
        "Its gate replaced 75% of the embedding of cat by features under the mask."
    )
    assert sentence(2, 2, 2, 2, 2, 2) == (
        "Decided at Coarse (ECE): cat (100%) from the start, unchanged by later stages."
    )
    assert "All changes: cat → dog → cat → dog." in sentence(2, 1, 1, 1, 2, 1)
    assert "Decided at Final" in sentence(2, 1, 1, 1, 2, 1)


def test_without_a_photo_or_a_pixel_the_tab_says_what_to_do() -> None:
    assert "Add a photo" in pixel.render_decided(Session(), Selection())
    assert pixel.render_flow(Session(), Selection(), False)[2].visible is False
    session = session_with(make_prediction(FINAL, stages={"ece": COARSE}))
    for shown in (pixel.render_pixel(Session(), Selection(pixel=(0, 0))), pixel.render_pixel(session, Selection())):
        cross, hint, text, lines, cells = shown
        assert (cross, hint.visible, text.visible, lines.visible, cells.visible) == ("", True, False, False, False)
    assert pixel.render_flow(session, Selection(), False)[2].visible is True, "the photo's parts need no pixel"


def test_a_pixel_is_told_charted_and_crossed() -> None:
    session = session_with(make_prediction(FINAL, stages={"ece": COARSE}), name="<b>")
    cross, hint, text, lines, cells = pixel.render_pixel(session, Selection(pixel=(1, 0)))
    assert "--pixel-x:37.500%;--pixel-y:25.000%" in cross
    assert hint.visible is False
    assert "Pixel (1, 0) of &lt;b&gt;" in text.value
    assert "Decided at Stage 4: cat (100%) before" in text.value
    assert lines.visible
    assert cells.visible


def test_a_pixel_of_a_photo_that_has_gone_is_moved_into_the_one_that_is_shown() -> None:
    text = pixel.render_pixel(session_with(make_prediction(FINAL)), Selection(pixel=(900, 900)))[2]
    assert "Pixel (3, 1)" in text.value


def test_the_map_tells_the_share_of_each_stage() -> None:
    page = pixel.render_decided(session_with(make_prediction(FINAL, stages={"ece": COARSE})), Selection())
    shares = re.findall(r"</span>([^<]+) <b>([^<]+)</b>", page)
    assert shares[:2] == [("Coarse (ECE)", "75.0%"), ("Stage 4", "25.0%")]
    assert len(shares) == 6
    assert 'data-width="4" data-height="2"' in page


def test_a_photo_that_no_stage_changes_has_no_flow_unless_all_pixels_are_asked_for() -> None:
    session = session_with(make_prediction(FINAL))
    note, _, plot = pixel.render_flow(session, Selection(), False)
    assert "No pixel changes" in note.value
    assert plot.visible is False
    assert pixel.render_flow(session, Selection(), True)[2].visible is True


def test_scores_by_hand() -> None:
    # Truth: dog everywhere but one ignored pixel and one background pixel.
    target = np.array([[255, 1, 1, 1], [0, 1, 1, 1]], dtype=np.uint8)
    scores = compare_with_truth(make_prediction(FINAL, stages={"ece": COARSE}), target)
    assert scores.labelled == 7
    assert scores.right.tolist() == [5, 6, 6, 6, 6, 6]
    assert scores.fixed.tolist() == [1, 0, 0, 0, 0]
    assert scores.broken.tolist() == [0, 0, 0, 0, 0]
    assert scores.present == [1, 0]
    assert scores.iou[0, :2].tolist() == [1 / 2, 4 / 6]
    assert scores.iou[0, 2] == 0, "predicted, but nowhere true"
    assert scores.mean_iou[0] == pytest.approx((1 / 2 + 4 / 6) / 2), "over the truth's classes"


def test_fixed_less_broken_is_the_change_in_right_pixels() -> None:
    numbers = np.random.default_rng(3)
    maps = {name: numbers.integers(0, 3, (20, 30), dtype=np.uint8) for name in STAGES}
    target = numbers.choice(np.array([0, 1, 2, 255], dtype=np.uint8), (20, 30))
    scores = compare_with_truth(make_prediction(maps["final"], stages=maps), target)
    assert (scores.fixed - scores.broken).tolist() == np.diff(scores.right).tolist()
    assert scores.fixed.min() > 0, "noise fixes something"


def write(path: Path, mask: np.ndarray, *, palette: bool = False) -> Path:
    image = Image.fromarray(mask)
    if palette:
        # Of all 256 colours, or Pillow stores fewer bits than 255 needs.
        image.putpalette([value for value in range(256) for _ in range(3)])
    image.save(path)
    return path


def read(path: Path, size: tuple[int, int]) -> np.ndarray:
    return read_truth(path, size=size, class_names=CLASS_NAMES).mask


@pytest.mark.parametrize("palette", [False, True])
def test_a_truth_is_read_as_indices_and_scaled_without_mixing(tmp_path: Path, palette: bool) -> None:
    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[:, 10:], mask[:, 20:] = 2, 255
    path = write(tmp_path / "mask.png", mask, palette=palette)
    assert read(path, (30, 20)).tolist() == mask.tolist()
    smaller = read(path, (15, 10))
    assert smaller.shape == (10, 15)
    assert set(np.unique(smaller)) == {0, 2, 255}
    assert smaller.tolist() == mask[::2, ::2].tolist()


def test_a_truth_may_be_as_large_as_the_photo_was_before_it_was_scaled_down(tmp_path: Path) -> None:
    # 1499×1001 → 1024×684 on arrival.
    path = write(tmp_path / "mask.png", np.ones((1001, 1499), dtype=np.uint8))
    assert read(path, (1024, 684)).shape == (684, 1024)


@pytest.mark.parametrize(
    ("mask", "refusal"),
    [
        (np.zeros((20, 33), dtype=np.uint8), ("size-mismatch", "30×20", "mask.png", "33×20")),
        (np.zeros((30, 20), dtype=np.uint8), ("size-mismatch", "30×20", "mask.png", "20×30")),
        (np.full((20, 30), 3, dtype=np.uint8), ("unknown-mask-value", "0 … 2", 255, "mask.png", 3)),
        (np.full((20, 30), 255, dtype=np.uint8), ("not-enough-data", "mask.png", 255)),
        (np.zeros((20, 30, 3), dtype=np.uint8), ("wrong-file", "8-bit", "mask.png", "(20, 30, 3)", "class indices")),
        (np.zeros((20, 30), dtype=np.uint16), ("wrong-file", "8-bit", "mask.png", "uint16")),
    ],
)
def test_a_truth_that_does_not_fit_is_told_so_in_one_sentence(
    tmp_path: Path, mask: np.ndarray, refusal: tuple[Any, ...]
) -> None:
    path = write(tmp_path / "mask.png", mask)
    with refused(*refusal) as caught:
        read(path, (30, 20))
    assert str(tmp_path) not in str(caught.value), "where the server keeps files is nobody's business"


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    with refused("wrong-file", "mask.png"):
        read(tmp_path / "mask.png", (30, 20))


def test_a_truth_stays_with_its_photo(tmp_path: Path) -> None:
    session = session_with(make_prediction(FINAL, stages={"ece": COARSE})).with_photo(
        Photo("b", make_prediction(FINAL))
    )
    first, second = Selection(), Selection(photo=1)
    session = ground_truth.add_truth(
        session, first, str(write(tmp_path / "mask.png", FINAL.repeat(8, axis=0).repeat(8, axis=1)))
    )
    clear, page, bars, ious = ground_truth.render(session, first)
    assert (clear.visible, bars.visible, ious.visible) == (True, True, True)
    assert "<td>Coarse (ECE)</td><td>75.0%</td><td></td><td></td>" in page
    assert "<td>Stage 4</td><td>100.0%</td><td>2</td><td>0</td><td>100.0</td>" in page
    clear, page, bars, _ = ground_truth.render(session, second)
    assert (clear.visible, bars.visible) == (False, False)
    assert "8-bit PNG" in page
    assert ground_truth.render(session, first)[0].visible is True
    assert ground_truth.render(ground_truth.remove_truth(session, first), first)[0].visible is False


def test_a_truth_waits_for_the_model_whose_classes_it_has() -> None:
    photo = Photo("a", make_prediction(FINAL), truth=Truth(FINAL, ("sky", "grass", "cat")))
    assert photo.true_mask is None
    clear, page, _, _ = ground_truth.render(Session().with_photo(photo), Selection())
    assert clear.visible is False
    assert "another model" in page
    known = Truth(FINAL, tuple(CLASS_NAMES))
    assert replace(photo, truth=known).true_mask is FINAL


def test_the_tab_builds(tmp_path: Path) -> None:
    registry = ModelRegistry("everyday", runs=tmp_path)
    with gr.Blocks():
        views = pixel.build(gr.State(Session()), gr.State(Selection()), registry=registry, stage_names=list(STAGES))
    assert [view.follows for view in views] == ["photo", "selection", "photo", "selection", "photo"]
