"""The map of each stage: the same traces at all of them, and how well a stage keeps classes apart."""

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from ecenet.analysis.plots import embeddings as plots
from ecenet.analysis.plots.embeddings import embedding_map
from ecenet.analysis.plots.map_groups import ColorBy
from ecenet.app.state.session import Photo, Session
from tests.support.maps import LABELS, MADE_STAGES, OPTIONS, map_of, render, session_of
from tests.support.predictions import CLASS_COLORS, CLASS_NAMES, STAGES, make_prediction


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("color_by", get_args(ColorBy))
def test_maps_of_single_stages_have_the_same_traces_and_each_stages_own_points(
    color_by: ColorBy, dimensions: int
) -> None:
    session = session_of("one", "two")
    value = json.loads(
        render(session, by_stage=True, color_by=color_by, options=(OPTIONS[0], dimensions, *OPTIONS[2:]))[0]
    )
    names = [stage["name"] for stage in value["stages"]]
    assert names == MADE_STAGES
    assert list(value["frames"]) == names
    current = map_of(session)
    seen = []
    for name, traces in value["frames"].items():
        assert [trace.get("name") for trace in traces] == [trace.get("name") for trace in value["frames"]["ece"]]
        rows = [row for trace in traces for row in trace.get("customdata", [])]
        assert {str(current.points.stage[row]) for row in rows} == {name}
        assert len({value["items"][row] for row in rows}) == len(rows) == 2 * 3
        seen += rows
    assert sorted(seen) == list(range(2 * 3 * 5))
    assert value["figure"]["data"] == []
    axes = value["figure"]["layout"] if dimensions == 2 else value["figure"]["layout"]["scene"]
    low, high = axes["xaxis"]["range"]
    places = [x for traces in value["frames"].values() for trace in traces for x in trace["x"] if x is not None]
    assert low < min(places)
    assert max(places) < high


def test_traces_have_the_same_order_at_every_stage_whichever_classes_are_frequent_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class that the legend hides stays hidden by its traces' places."""
    monkeypatch.setattr(plots, "NAMED_FROM", 3)
    monkeypatch.setattr(plots, "NAMED_MEMBERS", 1)
    photos = (Photo("one", make_prediction(LABELS)), Photo("two", make_prediction(np.zeros((2, 2), np.uint8))))
    current = map_of(Session(photos=photos, stage_names=tuple(STAGES)))
    points = current.points
    moved = (points.stage == "ece") & (points.class_index == 0)
    points = replace(points, stage=np.where(moved, "stage4", points.stage))
    orders = []
    for name in MADE_STAGES:
        figure = embedding_map(
            points,
            current.projection,
            color_by="class",
            class_names=CLASS_NAMES,
            class_colors=CLASS_COLORS,
            image_names=["one", "two"],
            stage=name,
        )
        orders.append([(trace.mode, trace.legendgroup) for trace in figure.data])
    assert all(order == orders[0] for order in orders)
    assert ("text", CLASS_NAMES[0]) in orders[0]


def test_each_stage_says_how_well_it_keeps_classes_apart() -> None:
    value = json.loads(render(session_of("one", "two"), by_stage=True)[0])
    # Both photos have the very same embeddings, so that each one's nearest is that of its own class.
    assert [stage["note"].split(",")[0] for stage in value["stages"]] == ["purity 1.00"] * 5
    alone = json.loads(render(session_of("one"), by_stage=True)[0])
    assert {stage["note"] for stage in alone["stages"]} == {"purity –, silhouette –"}
