"""The tabs with a SegViT: the same stages, maps and embeddings; what it cannot do is left out, in one sentence."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.interventions.scenario import KnockOuts, Scenario
from ecenet.app.state.experiment import Experiment
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session, add_photo, new_session
from ecenet.app.tabs import compare, pixel, segment, similarity
from ecenet.app.tabs.embeddings import render as embeddings
from ecenet.app.tabs.what_if import controls, handlers
from ecenet.app.tabs.what_if.render import render_result
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.bank import embed_split
from ecenet.evaluation.evaluate import evaluate
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from ecenet.training.snapshots import take_snapshot
from tests.support.fitters import ScriptedFitter
from tests.support.helpers import EXPLICIT, noise_image, small_model, small_segvit, write_folder
from tests.support.refusals import refused

each_variant = pytest.mark.parametrize("overrides", [{}, EXPLICIT], ids=["plain", "explicit"])
HERE = Selection(stage="stage2", pixel=(10, 10))


def session_of(model: Any, folder: Path) -> tuple[Session, ModelRegistry]:
    save_model(model, folder / "own")
    registry = ModelRegistry(folder / "own", runs=folder / "runs")
    session = new_session(registry)
    for seed in (0, 5):
        noise_image(64, 48, seed=seed).save(folder / f"photo{seed}.png")
        session = add_photo(session, str(folder / f"photo{seed}.png"), predictor=registry.open(session.model))
    return session, registry


@each_variant
def test_every_tab_draws_its_stages(overrides: dict[str, Any], tmp_path: Path) -> None:
    session, _ = session_of(small_segvit(**overrides), tmp_path)
    stages = (*(("ece",) if overrides else ()), "stage2", "stage1", "final")
    assert session.stage_names == stages
    radio = segment.render_controls(session, HERE, "stage2")[0]
    assert [value for _, value in radio.choices] == list(stages)
    assert all(f'"{name}"' in segment.render(session, HERE, 0.6) for name in stages)
    for rows in ("stages", "classes"):
        assert "data:image" in str(similarity.render(session, HERE, rows))
    assert "Decided at" in pixel.render_pixel(session, HERE)[2].value
    assert pixel.render_flow(session, HERE, False) is not None
    assert "data:image" in str(compare.render_photos(session, HERE))
    drawn = draw_map(embeddings.predictions_of(session), MapRequest(), previous=None, fitter=ScriptedFitter())
    assert set(drawn.points.stage) == set(stages) - {"final"}


@each_variant
def test_the_what_if_tab_leaves_out_what_the_model_cannot_do(overrides: dict[str, Any], tmp_path: Path) -> None:
    session, registry = session_of(small_segvit(**overrides), tmp_path)
    names = ("note", "painting", "editing", "moving", "diverse", "updater", "forced", "gate")
    *rendered, embeddings = controls.render_parts(session, registry=registry)
    parts = dict(zip(names, rendered, strict=True))
    explicit = bool(overrides)
    assert {name for name, part in parts.items() if part.visible} == {
        *(("note", "editing", "moving", "updater", "forced", "gate") if explicit else ("note",))
    }
    assert "own classes only" in parts["note"].value
    assert ("the updater" in parts["note"].value) == explicit
    assert ("class embeddings from masks" in embeddings) == explicit

    off = Experiment(session.model, scenario=Scenario(knock_outs=KnockOuts(attention_off=("stage2", "stage1"))))
    predictor = registry.open(session.model)
    assert "Before, Stage 2" in render_result(off, session, HERE, predictor=predictor)
    painted = handlers.add_stroke(session, HERE, Experiment(), _stroke())
    with refused("unsupported-by-weights", "ECENet", "SegViT"):
        handlers.make_class(session, HERE, painted, "mine", "mean", 3, registry=registry)
    if explicit:
        changed = handlers.change_mask(session, HERE, painted, "ece", "paint", "cat", "cat")
        assert "Before, Stage 2" in render_result(changed, session, HERE, predictor=predictor)
        moved = handlers.move_embedding(session, HERE, painted, 1, "cat", "sky", 1.0)
        assert "Before, Stage 2" in render_result(moved, session, HERE, predictor=predictor)


def _stroke() -> Any:
    return SimpleNamespace(_data={"tool": "box", "points": [[4, 4], [30, 30]], "radius": 3})


def test_an_ecenet_has_every_part(tmp_path: Path) -> None:
    session, registry = session_of(small_model(), tmp_path)
    note, *parts, _ = controls.render_parts(session, registry=registry)
    assert not note.visible
    assert all(part.visible for part in parts)


@each_variant
def test_scores_banks_and_snapshots_have_its_stages(overrides: dict[str, Any], tmp_path: Path) -> None:
    predictor = Predictor(small_segvit(**overrides), device="cpu", half=False)
    data = read_folder(write_folder(tmp_path, splits=("val",), images=2), "val")
    stages = predictor.model.stage_names
    assert list(evaluate(predictor, data).stages) == stages
    assert set(embed_split(predictor, data).stage) <= set(stages)
    snapshot = take_snapshot(predictor, data)
    assert snapshot.picture.width == 4 * 320
    assert np.isfinite(snapshot.points.vectors).all()
