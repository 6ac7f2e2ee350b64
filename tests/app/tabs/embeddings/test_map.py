"""The class embeddings' tab: what it draws, and what it makes of what a browser says."""

import json
from dataclasses import replace
from typing import Any, get_args

import gradio as gr
import numpy as np
import pytest

from ecenet.analysis.embeddings.cosine import Quality
from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.plots import map_groups
from ecenet.analysis.plots.embeddings import embedding_map, marker_sizes
from ecenet.analysis.plots.map_groups import ColorBy
from ecenet.analysis.plots.stage_maps import own_points
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.embeddings import panels
from ecenet.app.tabs.embeddings.render import predictions_of, render_photos
from tests.support.fitters import ScriptedFitter
from tests.support.maps import LABELS, OPTIONS, map_of, render, session_of
from tests.support.predictions import CLASS_COLORS, CLASS_NAMES, STAGES, make_prediction
from tests.support.refusals import refused


def figure_of(
    session: Session, *, color_by: ColorBy = "class", dimensions: int = 2, lines: bool = True, own: int | None = None
) -> Any:
    """The first `own` photos are the session's, the others reference photos."""
    current = map_of(session, dimensions=dimensions)
    return embedding_map(
        current.points,
        current.projection,
        color_by=color_by,
        class_names=CLASS_NAMES,
        class_colors=CLASS_COLORS,
        image_names=[photo.name for photo in session.photos],
        trajectories=lines,
        is_reference=None if own is None else current.points.image >= own,
    )


def marked(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.customdata is not None]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("color_by", get_args(ColorBy))
def test_the_map_draws_every_point_once_in_webgl_whatever_the_colour(color_by: ColorBy, dimensions: int) -> None:
    figure = figure_of(session_of("one", "two"), color_by=color_by, dimensions=dimensions)
    drawn = marked(figure)
    assert sorted(row for trace in drawn for row in trace.customdata) == list(range(2 * 3 * 5))
    assert {trace.type for trace in figure.data} == {"scattergl" if dimensions == 2 else "scatter3d"}
    names = {trace.name for trace in drawn}
    expected = {
        "class": set(CLASS_NAMES),
        "stage": {"Coarse (ECE)", "Stage 4", "Stage 3", "Stage 2", "Stage 1"},
        "image": {"one", "two"},
        "confidence": {"Confidence"},
        "area": {"Area"},
    }
    assert names == expected[color_by]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("color_by", get_args(ColorBy))
def test_reference_points_are_faint_without_an_outline_and_beneath_the_photos_own(
    color_by: ColorBy, dimensions: int
) -> None:
    session = session_of("one", "two")
    figure = figure_of(session, color_by=color_by, dimensions=dimensions, own=1)
    image = map_of(session).points.image
    styles = []
    for trace in marked(figure):
        (shown,) = set(image[trace.customdata])
        styles.append((shown, trace.marker.opacity, trace.marker.line.width))
    assert set(styles) == {(1, 0.45, 0), (0, 1, 1)}
    assert styles == sorted(styles, reverse=True), "drawn first"


@pytest.mark.parametrize("own", [None, 1])
def test_colours_of_numbers_stay_with_their_points(own: int | None) -> None:
    session = session_of("one", "two")
    areas = map_of(session).points.area
    for trace in marked(figure_of(session, color_by="area", own=own)):
        assert trace.marker.color.tolist() == pytest.approx(areas[trace.customdata].tolist())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_line_of_the_legend_stands_for_a_class_whatever_stage_its_first_point_is_of(dimensions: int) -> None:
    absent = make_prediction(LABELS, stages={"ece": np.zeros((2, 2), np.uint8)})
    session = Session((Photo("one", absent), *session_of("two").photos), stage_names=tuple(STAGES))
    figure = figure_of(session, dimensions=dimensions, own=1)
    lines = [trace for trace in figure.data if trace.showlegend is not False and trace.legend is None]
    assert [(line.name, line.marker.symbol) for line in lines] == [(name, "circle") for name in CLASS_NAMES]
    for line in lines:
        assert [trace.name for trace in marked(figure) if trace.legendgroup == line.legendgroup] == [line.name] * 2


def test_the_legend_of_many_classes_names_those_of_the_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_groups, "MAX_LEGEND", 2)
    dogs = make_prediction(np.ones((2, 2), np.uint8))
    session = Session((Photo("dogs", dogs), *session_of("two").photos), stage_names=tuple(STAGES))
    figure = figure_of(session, own=1)
    lines = [trace.name for trace in figure.data if trace.showlegend is not False and trace.legend is None]
    assert len(lines) == 2
    assert "dog" in lines, "the only class of the photo that is the session's own"
    assert {trace.name for trace in marked(figure)} == set(CLASS_NAMES), "all points are drawn"


def test_markers_grow_with_the_area() -> None:
    current = map_of(session_of("one", "two"))
    (cats,) = {float(size) for size in marker_sizes(current.points)[current.points.class_index == 2]}
    (dogs,) = {float(size) for size in marker_sizes(current.points)[current.points.class_index == 1]}
    assert cats - 8 == pytest.approx((dogs - 8) * np.sqrt(2)), "half against a quarter of the photo"


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_line_follows_each_class_of_each_photo_and_can_be_left_out(dimensions: int) -> None:
    session = session_of("one", "two")
    (lines,) = [trace for trace in figure_of(session, dimensions=dimensions).data if trace.mode == "lines"]
    parts = np.split(lines.x, np.flatnonzero(np.isnan(lines.x)) + 1)
    assert [len(part) for part in parts] == [6] * 6 + [0], "five stages and a gap, two photos with three classes each"
    # The scripted picture's first axis is the class: a line stays at its own.
    assert [set(part[:5]) for part in parts[:3]] == [{0.0}, {1.0}, {2.0}]
    assert not [trace for trace in figure_of(session, lines=False).data if trace.mode == "lines"]


def test_a_class_without_pixels_at_a_stage_has_no_confidence_and_is_drawn_all_the_same() -> None:
    photos = [Photo("one", make_prediction(LABELS, stages={"ece": np.zeros((2, 2), np.uint8)})) for _ in range(2)]
    drawn = marked(figure_of(Session(tuple(photos), stage_names=tuple(STAGES)), color_by="confidence"))
    assert [len(trace.customdata) for trace in drawn] == [26, 4]


def test_names_of_photos_cannot_inject_html() -> None:
    session = session_of("<img src=x onerror=alert(1)>", "<script>alert(2)</script>")
    current = map_of(session)
    names = [photo.name for photo in session.photos]
    pages = [
        figure_of(session, color_by="image").to_json(),
        panels.neighbors(current, 0, image_names=names),
        panels.picked_points(current, np.arange(30), image_names=names),
    ]
    for page in pages:
        assert "<img src=x" not in page
        assert "<script" not in page


def test_an_empty_session_says_what_to_do() -> None:
    value, note, *_ = render(Session())
    assert value == ""
    assert "Add a photo" in note


def test_the_map_is_sent_only_when_it_has_changed() -> None:
    session = session_of("one", "two")
    value, note, _, timer, current, _, drawn, key = render(session)
    assert json.loads(value)["key"] == key == current.key
    assert "**UMAP** of 30 points from 2 photos" in note
    assert not timer.active
    again = render(session, current, drawn)
    assert again[0] == gr.skip()
    assert again[4] is current
    recolored = render(session, current, drawn, color_by="stage")
    assert json.loads(recolored[0])["key"] == key, "the same picture in other colours"


def test_the_slider_leaves_out_small_classes_and_says_so_when_none_is_left() -> None:
    session = session_of("one", "two")
    assert set(render(session, min_area=30)[4].points.class_index) == {2}
    value, note, *_ = render(session, min_area=60)
    assert value == ""
    assert "lower the minimum area" in note


def test_placed_points_and_the_way_to_fit_them_are_told() -> None:
    session = session_of("one", "two")
    *_, current, _, drawn, _ = render(session)
    grown = session.with_photo(session_of("one", "two", "three").photos[2])
    assert "15 points were placed" in render(grown, current, drawn)[1]
    assert "placed" not in render(grown, current, drawn, refits=1)[1]
    assert "t-SNE cannot place" in render(session, options=("t-SNE", *OPTIONS[1:]))[1]


def test_one_photo_added_twenty_times_is_no_cluster_and_the_note_says_so() -> None:
    once, often = render(session_of("one")), render(session_of(*["one"] * 20, copies=True))
    assert "**PCA** of 15 points" in once[1]
    assert "too few points to form clusters" in once[1]
    assert "have the same embeddings" not in once[1]
    assert "**PCA** of 300 points from 20 photos" in often[1]
    assert "at least 16 points but there are only 15" in often[1]
    assert "285 of 300 points are duplicates" in often[1]
    assert often[2] == once[2], "nothing is measured on copies"
    np.testing.assert_allclose(
        often[4].projection.coordinates, np.tile(once[4].projection.coordinates, (20, 1)), atol=1e-9
    )
    by_stage = render(session_of(*["one"] * 20, copies=True), by_stage=True)
    notes = [stage["note"] for stage in json.loads(by_stage[0])["stages"]]
    assert notes == ["purity –, silhouette –"] * 5, "as of one photo alone"


def test_too_few_neighbours_are_not_used_and_the_note_says_so() -> None:
    session = session_of("one", "two")
    note = render(session, options=("UMAP", 2, 0, 2, 0.2, 30))[1]
    assert "Fitted with neighbours = 5 instead of 2, because UMAP shows spurious groups" in note
    assert "Fitted with perplexity = 5 instead of 2" in render(session, options=("t-SNE", 2, 0, 15, 0.2, 2))[1]
    assert "Fitted with" not in render(session, options=("PCA", 2, 0, 2, 0.2, 2))[1]
    assert "Fitted with" not in render(session)[1]


def test_a_picture_that_tears_neighbours_apart_is_said_to() -> None:
    current = map_of(session_of("one", "two"))
    good, bad = (replace(current, quality=Quality(trust, 0.5, 30)) for trust in (0.9, 0.89))
    assert good.cautions == ()
    assert "Low trustworthiness (0.89)" in bad.cautions[0]


def test_rows_of_the_photos_own_points_name_their_photo_stage_and_class() -> None:
    session = session_of("one", "two")
    reference = map_of(session_of("elsewhere")).points
    current = draw_map(
        predictions_of(session), MapRequest(), previous=None, fitter=ScriptedFitter(), reference=reference
    )
    own = own_points(current)
    assert set(own) == set(np.flatnonzero(current.points.image < 2).tolist()), "none of the third, a reference"
    for row, (image, stage, class_index) in own.items():
        assert current.points.find(image=image, stage=stage, class_index=class_index) == row
    for by_stage in (False, True):
        value = json.loads(render(session, by_stage=by_stage)[0])
        assert len(value["own"]) == 30


def test_small_pictures_go_with_the_map_of_their_photos_alone() -> None:
    session = session_of("one", "two")
    current = map_of(session)
    sent = render_photos(session, current).constructor_args["photos"]
    assert sent["map"] == current.key
    assert sent["pictures"] == [photo.regions for photo in session.photos]
    assert render_photos(session_of("one"), current).constructor_args["photos"] is None
    assert render_photos(session, None).constructor_args["photos"] is None


@pytest.mark.parametrize("by_stage", [False, True])
def test_contours_are_an_option_of_crowded_flat_maps(by_stage: bool) -> None:
    def lines(value: str) -> list[str]:
        found = json.loads(value)
        traces = next(iter(found["frames"].values())) if by_stage else found["figure"]["data"]
        return [trace["legendgroup"] for trace in traces if trace.get("mode") == "lines" and "legendgroup" in trace]

    session = session_of(*(f"photo {i}" for i in range(100)))
    crowded = render(session, by_stage=by_stage, density=True)
    assert lines(crowded[0]) == CLASS_NAMES
    assert "Contours" not in crowded[1]
    assert lines(render(session, by_stage=by_stage)[0]) == []
    drawn = crowded[6]
    assert render(session, crowded[4], drawn, by_stage=by_stage, density=True)[0] == gr.skip()
    assert render(session, crowded[4], drawn, by_stage=by_stage)[0] != gr.skip(), "switched off again"

    few = render(session_of("one", "two"), by_stage=by_stage, density=True)
    assert lines(few[0]) == []
    assert "Contours need at least 300 points." in few[1]
    deep = render(session, by_stage=by_stage, density=True, options=("UMAP", 3, *OPTIONS[2:]))
    assert lines(deep[0]) == []
    assert "only drawn in two dimensions" in deep[1]


def test_the_page_comes_back_for_umap_and_refuses_bad_options() -> None:
    session = session_of("one", "two")
    assert render(session, fitter=ScriptedFitter(ready=False))[3].active
    with refused("out-of-range", "neighbors", "2 … 200", "'None'"):
        render(session, options=("UMAP", 2, 0, None, 0.2, 30))


def test_many_points_have_their_classes_named_once_each_where_there_is_room() -> None:
    current = map_of(session_of(*(f"photo {i}" for i in range(40))))
    figure = embedding_map(
        current.points,
        current.projection,
        color_by="class",
        class_names=CLASS_NAMES,
        class_colors=CLASS_COLORS,
        image_names=[f"photo {i}" for i in range(40)],
    )
    texts = [trace for trace in figure.data if trace.mode == "text"]
    assert sorted(trace.text[0] for trace in texts) == sorted(CLASS_NAMES)
    placed = [(trace.x[0], trace.y[0]) for trace in texts if trace.x[0] is not None]
    assert 0 < len(set(placed)) == len(placed)
    assert not [trace for trace in figure_of(session_of("one", "two")).data if trace.mode == "text"]
