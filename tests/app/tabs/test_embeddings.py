"""The class embeddings' tab: what it draws, and what it makes of what a browser says."""

import base64
import csv
import io
import json
import re
from dataclasses import replace
from typing import Any, get_args

import gradio as gr
import numpy as np
import pytest

from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.plots import embeddings as plots
from ecenet.analysis.plots.embeddings import ColorBy, centroid_heatmap, embedding_map, marker_sizes
from ecenet.app.state.select_events import choose_class, choose_stage
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.embeddings import panels
from ecenet.app.tabs.embeddings import tab as embeddings
from ecenet.app.tabs.embeddings.events import picked_point, picked_points, point_of, select_point, up_to_date
from tests.support.fitters import ScriptedFitter
from tests.support.maps import LABELS, OPTIONS, map_of, render, session_of
from tests.support.predictions import CLASS_COLORS, CLASS_NAMES, STAGES, make_prediction
from tests.support.refusals import refused
from tests.support.web.toasts import toasted


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
    monkeypatch.setattr(plots, "MAX_LEGEND", 2)
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
    grown = session.with_photo(session_of("three").photos[0])
    assert "15 points were placed" in render(grown, current, drawn)[1]
    assert "placed" not in render(grown, current, drawn, refits=1)[1]
    assert "t-SNE cannot place" in render(session, options=("t-SNE", *OPTIONS[1:]))[1]


def test_the_page_comes_back_for_umap_and_refuses_bad_options() -> None:
    session = session_of("one", "two")
    assert render(session, fitter=ScriptedFitter(ready=False))[3].active
    with refused("out-of-range", "neighbors", "2 … 200", "'None'"):
        render(session, options=("UMAP", 2, 0, None, 0.2, 30))


def test_the_selected_point_is_ringed_and_its_neighbours_are_listed() -> None:
    session = session_of("one", "two")
    current = map_of(session)
    selection = Selection(photo=1, stage="stage2", class_name="cat")
    html, panel, at_stage = embeddings.render_selected(session, selection, current, ["one", "two"])
    index = point_of(current, session, selection)
    assert index is not None
    assert html.constructor_args["ring"]["at"] == current.projection.coordinates[index].tolist()
    assert "value" not in html.constructor_args, "the points are not sent again"
    assert at_stage == (current.key, "stage2")
    rows = [int(row) for row in re.findall(r'data-point="(\d+)"', panel)]
    twin = current.points.find(image=0, stage="stage2", class_index=2)
    assert rows[0] == twin, "the other photo has the same embedding there"
    assert len(rows) == panels.NEIGHBORS
    assert "0.000" in panel


def test_the_final_stage_rings_the_last_embedding_that_is_made() -> None:
    session = session_of("one")
    current = map_of(session)
    assert point_of(current, session, Selection(stage="final", class_name="dog")) == current.points.find(
        image=0, stage="stage1", class_index=1
    )


def test_without_a_point_to_show_the_panel_says_why() -> None:
    session = session_of("one", "two")
    small = draw_map(
        embeddings.predictions_of(session), MapRequest(min_area=0.3), previous=None, fitter=ScriptedFitter()
    )
    html, panel, _ = embeddings.render_selected(session, Selection(class_name="dog"), small, ["one", "two"])
    assert html.constructor_args["ring"] is None
    assert "too small" in panel
    assert embeddings.render_selected(session_of("other"), Selection(), small, ["other"])[1] == "", "an older map"
    assert embeddings.render_selected(Session(), Selection(), None, [])[1] == ""


def test_a_click_selects_photo_stage_and_class() -> None:
    session = session_of("one", "two")
    current = map_of(session)
    row = current.points.find(image=1, stage="stage3", class_index=2)
    assert row is not None
    before = Selection(photo=0, stage="final", class_name="dog", pixel=(1, 1), revision=7)
    event = gr.EventData(None, {"map": current.key, "index": row})
    after = embeddings.choose_point(session, before, current, event)
    assert after == Selection(photo=1, stage="stage3", class_name="cat", pixel=None, revision=7)
    same_photo = select_point(replace(before, photo=1), current, row)
    assert same_photo.pixel == (1, 1), "it is still the same photo"


def test_a_click_on_the_stand_in_counts_on_the_map_that_has_come_meanwhile() -> None:
    current = replace(map_of(session_of("one", "two")), earlier_keys=("stand-in",))
    assert picked_point({"map": "stand-in", "index": 4}, current) == 4
    assert picked_points({"map": "stand-in", "points": [4, 2]}, current).tolist() == [2, 4]


FORGED: list[Any] = [None, "x", [], {}, {"map": "other", "index": 0}, {"index": 0}]
FORGED_ROWS: list[Any] = [None, -1, 30, 1.0, "0", True, [0], {"a": 1}, 10**30]


def test_forged_clicks_are_refused() -> None:
    current = map_of(session_of("one", "two"))
    for payload in FORGED:
        with refused("outdated-page"):
            picked_point(payload, current)
    for row in FORGED_ROWS:
        with refused("unknown-choice", "0 … 29", repr(str(row))):
            picked_point({"map": current.key, "index": row}, current)
    with toasted("outdated-page"):
        embeddings.choose_point(session_of("one"), Selection(), None, gr.EventData(None, None))


def test_forged_lassos_are_refused() -> None:
    current = map_of(session_of("one", "two"))
    for payload in FORGED:
        with refused("outdated-page"):
            picked_points(payload, current)
    for rows in ([0, 0], *([row] for row in FORGED_ROWS)):
        with refused("unknown-choice", "0 … 29", "'one twice'" if len(rows) == 2 else repr(str(rows[0]))):
            picked_points({"map": current.key, "points": rows}, current)
    no_lists: tuple[Any, ...] = (list(range(31)), "01", {"0": 0}, None)
    for rows in no_lists:
        with refused("invalid-value", "30 points"):
            picked_points({"map": current.key, "points": rows}, current)
    assert picked_points({"map": current.key, "points": [4, 2]}, current).tolist() == [2, 4]
    assert picked_points({"map": current.key, "points": []}, current).tolist() == []


def test_a_click_on_a_map_of_other_photos_is_refused() -> None:
    session = session_of("one", "two")
    current = map_of(session)
    assert up_to_date(current, embeddings.predictions_of(session)) is current
    for others in (session.without_photos(), session_of("one", "two")):
        with refused("outdated-page"):
            up_to_date(current, embeddings.predictions_of(others))


def test_points_in_a_lasso_become_a_table_and_a_file() -> None:
    session = session_of("one, with a comma", "two")
    current = map_of(session)
    names = [photo.name for photo in session.photos]
    row = current.points.find(image=0, stage="stage4", class_index=2)
    page = panels.picked_points(current, np.array([row]), image_names=names)
    assert "<td>cat</td><td>50.0%</td><td>80%</td>" in page
    encoded = re.findall(r"base64,([^\"]+)", page)[0]
    lines = list(csv.reader(io.StringIO(base64.b64decode(encoded).decode())))
    assert lines == [list(panels.HEADER), ["one, with a comma", "stage4", "cat", "0.500000", "0.800000"]]
    assert panels.picked_points(current, np.array([], int), image_names=names) == ""


def test_points_of_photos_become_a_gallery_of_their_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    current = map_of(session_of("one", "two"))
    page = panels.picked_points(current, np.array([3, 7]), image_names=["one", "two"])
    assert re.findall(r'class="ece-card" data-point="(\d+)"', page) == ["3", "7"]
    assert f'data-map="{current.key}"' in page
    monkeypatch.setattr(panels, "MAX_PICTURES", 4)
    page = panels.picked_points(current, np.arange(30), image_names=["one", "two"])
    assert page.count("<img") == 4
    assert "26 more" in page


def test_choosing_elsewhere_leaves_the_reference_image() -> None:
    selection = Selection(reference=3)
    assert choose_stage(selection, "stage2").reference == 3, "its way through the stages can be followed"
    assert choose_class(selection, "cat").reference is None
    assert selection.revised().reference is None
    session = session_of("one", "two")
    assert selection.with_photo(1, session.photos[1].prediction).reference is None
    assert select_point(selection, map_of(session), 0).reference is None
    current = map_of(session)
    assert point_of(current, session, selection) == point_of(current, session, Selection()), "no such image: the photo"


def test_a_long_table_is_cut_and_its_file_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "MAX_ROWS", 7)
    page = panels.picked_points(map_of(session_of("a", "b")), np.arange(30), image_names=["a", "b"])
    assert page.count("<tr>") == 1 + 7
    assert "30 points, the first 7 of them shown" in page
    assert base64.b64decode(re.findall(r"base64,([^\"]+)", page)[0]).count(b"\n") == 31


def test_heat_map_compares_the_classes_of_the_selected_stage() -> None:
    current = map_of(session_of("one", "two"))
    shown = embeddings.render_heatmap(current, (current.key, "stage2"))
    assert shown.visible
    similarity = np.array([[1, 0.95, 0.97], [0.95, 1, 0.99], [0.97, 0.99, 1]])
    drawn = centroid_heatmap(similarity, labels=CLASS_NAMES, title="").data[0]
    assert list(drawn.x) == CLASS_NAMES
    assert np.isnan(np.diagonal(drawn.z)).all(), "1 of every class to itself would take the colours of all others"
    assert (drawn.z[0, 1], drawn.z[2, 1], drawn.zmin, drawn.zmax) == (0.95, 0.99, None, None)
    assert not embeddings.render_heatmap(current, (current.key, "none")).visible
    assert not embeddings.render_heatmap(None, ("", "")).visible
