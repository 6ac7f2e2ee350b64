"""Selecting on the map of class embeddings: clicks, lassos, neighbours, and what is refused of a browser's words."""

import base64
import csv
import io
import re
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.plots.centroids import centroid_heatmap
from ecenet.app.state.select_events import choose_class, choose_stage
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.app.tabs.embeddings import panels
from ecenet.app.tabs.embeddings import render as embeddings
from ecenet.app.tabs.embeddings.events import picked_point, picked_points, point_of, select_point, up_to_date
from ecenet.app.tabs.embeddings.tab import choose_point
from tests.support.fitters import ScriptedFitter
from tests.support.maps import map_of, session_of
from tests.support.predictions import CLASS_NAMES
from tests.support.refusals import refused
from tests.support.web.toasts import toasted

FORGED: list[Any] = [None, "x", [], {}, {"map": "other", "index": 0}, {"index": 0}]
FORGED_ROWS: list[Any] = [None, -1, 30, 1.0, "0", True, [0], {"a": 1}, 10**30]


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
    after = choose_point(session, before, current, event)
    assert after == Selection(photo=1, stage="stage3", class_name="cat", pixel=None, revision=7)
    same_photo = select_point(replace(before, photo=1), current, row)
    assert same_photo.pixel == (1, 1), "it is still the same photo"


def test_a_click_on_the_stand_in_counts_on_the_map_that_has_come_meanwhile() -> None:
    current = replace(map_of(session_of("one", "two")), earlier_keys=("stand-in",))
    assert picked_point({"map": "stand-in", "index": 4}, current) == 4
    assert picked_points({"map": "stand-in", "points": [4, 2]}, current).tolist() == [2, 4]


def test_forged_clicks_are_refused() -> None:
    current = map_of(session_of("one", "two"))
    for payload in FORGED:
        with refused("outdated-page"):
            picked_point(payload, current)
    for row in FORGED_ROWS:
        with refused("unknown-choice", "0 … 29", repr(str(row))):
            picked_point({"map": current.key, "index": row}, current)
    with toasted("outdated-page"):
        choose_point(session_of("one"), Selection(), None, gr.EventData(None, None))


def test_forged_lassos_are_refused() -> None:
    current = map_of(session_of("one", "two"))
    for payload in FORGED:
        with refused("outdated-page"):
            picked_points(payload, current)
    for rows in ([0, 0], *([row] for row in FORGED_ROWS)):
        with refused("unknown-choice", "0 … 29", "'a duplicate'" if len(rows) == 2 else repr(str(rows[0]))):
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
    pair = centroid_heatmap(similarity[:2, :2], labels=CLASS_NAMES[:2], title="").data[0]
    assert (pair.showscale, pair.zmin, pair.zmax) == (False, -1, 1), "one number needs no scale around itself"
    assert not embeddings.render_heatmap(current, (current.key, "none")).visible
    assert not embeddings.render_heatmap(None, ("", "")).visible
