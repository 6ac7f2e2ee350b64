"""The tabs with ECENet as its authors released it: its stages, maps and gates; its masks can be edited, and no painted
class can be added, which one sentence says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ecenet.analysis.diagnostics.similarity_maps import overwritten
from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, predict_scenario
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
from ecenet.inference.weights import save_model
from ecenet.model.config import ModelConfig
from ecenet.training.snapshots import take_snapshot
from tests.support.fitters import ScriptedFitter
from tests.support.helpers import noise_image, small_model, small_release, write_folder
from tests.support.refusals import refused

STAGES = ("ece", "stage3", "stage2", "stage1", "final")
HERE = Selection(stage="stage2", pixel=(10, 10))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, ModelRegistry]:
    """Two photos, looked at with such weights in a folder."""
    folder = tmp_path_factory.mktemp("release")
    save_model(small_release(), folder / "own")
    registry = ModelRegistry(folder / "own", runs=folder / "runs")
    session = new_session(registry)
    for seed in (0, 5):
        noise_image(64, 48, seed=seed).save(folder / f"photo{seed}.png")
        session = add_photo(session, str(folder / f"photo{seed}.png"), predictor=registry.open(session.model))
    return session, registry


def painted(session: Session) -> Experiment:
    box = {"tool": "box", "points": [[4, 4], [30, 30]], "radius": 3}
    event: Any = SimpleNamespace(_data=box)
    return handlers.add_stroke(session, HERE, Experiment(), event)


def test_every_tab_draws_its_stages(opened: tuple[Session, ModelRegistry]) -> None:
    session, _ = opened
    assert session.stage_names == STAGES
    radio = segment.render_controls(session, HERE, "stage2")[0]
    assert [value for _, value in radio.choices] == list(STAGES)
    assert all(f'"{name}"' in segment.render(session, HERE, 0.6) for name in STAGES)
    for rows in ("stages", "classes"):
        assert "data:image" in str(similarity.render(session, HERE, rows))
    assert "Decided at" in pixel.render_pixel(session, HERE)[2].value
    assert pixel.render_flow(session, HERE, False) is not None
    assert "data:image" in str(compare.render_photos(session, HERE))
    drawn = draw_map(embeddings.predictions_of(session), MapRequest(), previous=None, fitter=ScriptedFitter())
    assert set(drawn.points.stage) == set(STAGES) - {"final"}


def test_gates_are_shares_of_evidence_that_was_added(opened: tuple[Session, ModelRegistry]) -> None:
    session, _ = opened
    prediction = session.photos[0].prediction
    assert prediction.gate_adds
    shares = overwritten(prediction)
    assert list(shares) == ["stage3", "stage2", "stage1"]
    gate = prediction.stages["stage2"].gate
    assert gate is not None
    np.testing.assert_allclose(shares["stage2"], gate.mean(axis=1))
    table = similarity.render(session, HERE, "stages")[2]
    assert similarity.GATE_ADDED in table
    assert similarity.GATE_OVERWROTE not in table


def test_the_what_if_tab_says_what_it_cannot_do_and_does_the_rest(opened: tuple[Session, ModelRegistry]) -> None:
    session, registry = opened
    names = ("note", "painting", "editing", "moving", "diverse", "updater", "forced", "gate")
    *rendered, _ = controls.render_parts(session, registry=registry)
    parts = dict(zip(names, rendered, strict=True))
    assert {name for name, part in parts.items() if not part.visible} == {"painting"}
    assert "trans" in parts["note"].value
    assert "masks, embeddings, the updater, the attention" in parts["note"].value
    assert parts["gate"].info == controls.GATE_ADDS
    with refused("unsupported-by-weights", "ECENet", "trans"):
        handlers.make_class(session, HERE, painted(session), "mine", "mean", 3, registry=registry)


def test_with_embeddings_of_mask_logits_ours_says_that_nothing_painted_becomes_a_class() -> None:
    parts = small_model(config=ModelConfig(embed_dim=16, extraction="logits", updater="gated_addition")).parts
    text = controls.limits(parts)
    assert "extraction: logits" in text
    assert text.endswith("You can change: masks, embeddings, the updater, the attention.")
    assert (parts.gated, parts.gate_adds, parts.new_classes) == (True, True, False)


@pytest.mark.parametrize("stage", ["ece", "stage3", "stage2", "stage1"])
def test_a_painted_mask_is_pooled_anew_and_later_stages_follow(
    stage: str, opened: tuple[Session, ModelRegistry]
) -> None:
    session, registry = opened
    predictor, before = registry.open(session.model), session.photos[0].prediction
    changed = handlers.change_mask(session, HERE, painted(session), stage, "paint", "cat", "cat")
    assert "Before, Stage 2" in render_result(changed, session, HERE, predictor=predictor)
    after = predict_scenario(predictor, before, changed.scenario_for(before))
    cat = before.class_names.index("cat")
    assert after.stages[stage].area[cat] >= before.stages[stage].area[cat]
    follows = list(STAGES).index(stage)
    for number, name in enumerate(STAGES):
        same = np.array_equal(after.stages[name].embeddings, before.stages[name].embeddings)
        assert same == (number < follows), name
    assert not np.array_equal(after.final.mask_logits, before.final.mask_logits)


def test_parts_are_knocked_out_and_embeddings_moved(opened: tuple[Session, ModelRegistry]) -> None:
    session, registry = opened
    predictor = registry.open(session.model)
    for off in (
        KnockOuts(attention_off=("stage3", "stage1")),
        KnockOuts(updater_off=("stage3",)),
        KnockOuts(gate=0.0),
        KnockOuts(diverse=False),
    ):
        experiment = Experiment(session.model, scenario=Scenario(knock_outs=off))
        assert "Before, Stage 2" in render_result(experiment, session, HERE, predictor=predictor)
    moved = handlers.move_embedding(session, HERE, Experiment(), 1, "cat", "sky", 1.0)
    assert "Before, Stage 2" in render_result(moved, session, HERE, predictor=predictor)


def test_scores_banks_and_snapshots_have_its_stages(opened: tuple[Session, ModelRegistry], tmp_path: Path) -> None:
    session, registry = opened
    predictor = registry.open(session.model)
    data = read_folder(write_folder(tmp_path, splits=("val",), images=2), "val")
    assert list(evaluate(predictor, data).stages) == list(STAGES)
    assert set(embed_split(predictor, data).stage) <= set(STAGES)
    assert np.isfinite(take_snapshot(predictor, data).points.vectors).all()
