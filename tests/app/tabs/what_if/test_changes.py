"""The What if tab without a browser: what its controls do, and what it draws."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ecenet.analysis.diagnostics.ground_truth import Truth
from ecenet.analysis.interventions.mask_edits import Action
from ecenet.analysis.interventions.scenario import predict_scenario
from ecenet.app.state.experiment import Experiment
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session, new_session
from ecenet.app.tabs.what_if import controls, handlers
from ecenet.app.tabs.what_if.render import render_details, render_result
from ecenet.app.widgets.class_lists import class_choices
from ecenet.inference.weights import save_model
from ecenet.model.config import Embeddings
from ecenet.training.config import ModelConfig
from tests.app.tabs.what_if.strokes import HERE, made, stroked
from tests.support.helpers import CLASS_NAMES, small_model
from tests.support.refusals import refused


def change(session: Session, experiment: Experiment, action: Any, *, stage: str = "ece") -> Experiment:
    return handlers.change_mask(session, HERE, experiment, stage, action, CLASS_NAMES[0], CLASS_NAMES[1])


def test_changed_masks_follow_each_other_and_belong_to_one_photo(session: Session) -> None:
    one, other = (photo.prediction for photo in session.photos)
    swapped = change(session, Experiment(), "swap")
    twice = change(session, swapped, "swap")
    before = change(session, Experiment(), "swap", stage="stage2")
    assert np.allclose(
        twice.mask_at(one, "ece").probabilities, Experiment().mask_at(one, "ece").probabilities, atol=1e-6
    )
    both = change(session, before, "swap")
    assert set(both.scenario_for(one).masks) == {"ece", "stage2"}
    assert not both.scenario_for(other).masks
    assert handlers.forget_masks(session, HERE, both).scenario_for(one).changes_nothing


def test_a_mask_is_painted_and_erased_in_the_region(session: Session) -> None:
    prediction = session.photos[0].prediction
    painted = change(session, stroked(session), "paint").mask_at(prediction, "ece").probabilities
    assert (painted[0] - Experiment().mask_at(prediction, "ece").probabilities[0]).max() > 0.3
    erased = change(session, stroked(session), "erase").mask_at(prediction, "ece").probabilities
    plain = Experiment().mask_at(prediction, "ece").probabilities
    assert (erased[0] <= plain[0] + 1e-6).all()
    assert erased[0].min() < plain[0].min()
    with refused("missing-value", "painted region"):
        change(session, Experiment(), "paint")


def test_where_nothing_is_painted_a_class_is_erased_all_over(session: Session) -> None:
    """As the API has it."""
    prediction = session.photos[0].prediction
    plain = Experiment().mask_at(prediction, "ece").probabilities
    erased = change(session, Experiment(), "erase").mask_at(prediction, "ece").probabilities
    np.testing.assert_allclose(erased[0], 0.01 * plain[0], rtol=1e-4)


def test_every_action_can_be_chosen() -> None:
    assert tuple(value for _, value in controls.ACTIONS) == get_args(Action)


def test_the_truth_can_take_a_masks_place(session: Session) -> None:
    with refused("not-there-yet", "ground truth"):
        change(session, Experiment(), "replace")
    mask = np.ones((48, 64), dtype=np.uint8)
    session = session.with_truth(HERE, Truth(mask, tuple(CLASS_NAMES)))
    probabilities = change(session, Experiment(), "replace").mask_at(session.photos[0].prediction, "ece").probabilities
    assert (probabilities.argmax(axis=0) == 1).all()


def test_forged_choices_are_refused(session: Session) -> None:
    with refused("unknown-choice", "action", "'explode'"):
        change(session, Experiment(), "explode")
    with refused("unknown-choice", "stage", "'final'"):
        change(session, Experiment(), "swap", stage="final")
    with refused("unknown-choice", ", ".join(CLASS_NAMES), "'zebra'"):
        handlers.change_mask(session, HERE, Experiment(), "ece", "swap", "zebra", "sky")
    for source in (9, -1, "0", None, True):
        with refused("unknown-choice", "photos", source):
            handlers.move_embedding(session, HERE, Experiment(), source, "sky", "sky", 1.0)  # type: ignore[arg-type]


def test_the_change_of_the_selected_class_s_similarity_is_shown(session: Session, registry: ModelRegistry) -> None:
    predictor, prediction = registry.open("own"), session.photos[0].prediction
    stages = ["stage4", "stage3", "stage2", "stage1"]
    off = handlers.knock_out(session, HERE, Experiment(), True, [], stages, False, 1.0)
    where = Selection(stage="stage2", class_name=prediction.class_names[1])
    after = predict_scenario(predictor, prediction, off.scenario)
    change = after.stages["stage2"].similarity[1] - prediction.stages["stage2"].similarity[1]
    assert np.abs(change).max() > 0.05, "so that there is something to be seen"
    page = render_result(off, session, where, predictor=predictor)
    assert f"Similarity to {where.class_name}: {change.min():+.2g} … {change.max():+.2g}" in page
    assert where.class_name is not None
    without = handlers.leave_out(session, where, off, [where.class_name])
    assert "Similarity to" not in render_result(without, session, where, predictor=predictor)


def test_parts_are_knocked_out_and_put_back(session: Session, registry: ModelRegistry) -> None:
    stages = ["stage4", "stage3", "stage2", "stage1"]
    off = handlers.knock_out(session, HERE, Experiment(), True, stages[1:], stages, True, 0.25)
    assert off.scenario.knock_outs.attention_off == ("stage4",)
    assert off.scenario.knock_outs.updater_off == ()
    assert off.scenario.knock_outs.gate == 0.25
    assert "Pixels that change" in render_result(off, session, HERE, predictor=registry.open("own"))
    back = handlers.knock_out(session, HERE, off, True, stages, stages, False, 0.25)
    assert back.scenario.changes_nothing
    assert "No changes yet" in render_result(back, session, HERE, predictor=registry.open("own"))


def test_an_embedding_is_transplanted_into_the_photo_looked_at(session: Session, registry: ModelRegistry) -> None:
    moved = handlers.move_embedding(session, HERE, Experiment(), 1, "sky", "grass", 1.0)
    assert moved.scenario_for(session.photos[0].prediction).transplant is not None
    assert moved.scenario_for(session.photos[1].prediction).changes_nothing
    assert render_result(moved, session, HERE, predictor=registry.open("own")).count("<img") == 4
    assert handlers.start_anew(session, HERE, moved).scenario.changes_nothing


def test_an_experiment_ends_with_its_model(session: Session, registry: ModelRegistry) -> None:
    experiment = made(session, registry, stroked(session))
    other = replace(session, model="another")
    assert experiment.of(session) is experiment
    assert experiment.of(other).scenario.changes_nothing
    assert experiment.of(other).model == "another"


def test_there_is_to_choose_what_the_session_has(session: Session, registry: ModelRegistry) -> None:
    choices = controls.render_choices(session, HERE, Experiment())
    without, stage, first, second, attention, updater, source, *_ = choices
    assert [name for name, _ in without.choices] == class_choices(session.photos[0].prediction)
    assert sorted(name for name, _ in first.choices) == sorted(CLASS_NAMES)
    assert [value for _, value in stage.choices] == ["ece", "stage4", "stage3", "stage2", "stage1"]
    assert first.value != second.value
    assert attention.value == updater.value == ["stage4", "stage3", "stage2", "stage1"]
    assert [value for _, value in source.choices] == [0, 1]
    nothing = controls.render_choices(new_session(registry), HERE, Experiment())
    assert len(nothing) == len(choices)


def test_weights_of_one_kind_of_embeddings_say_why_there_is_no_other(tmp_path: Path) -> None:
    kinds: tuple[tuple[Embeddings, str], ...] = (
        ("explicit", "class embeddings from masks and have no learned ones"),
        ("learned", "learned class embeddings only"),
    )
    for kind, said in kinds:
        save_model(small_model(config=ModelConfig(embed_dim=8, embeddings=kind)), tmp_path / kind)
        registry = ModelRegistry(tmp_path / kind, runs=tmp_path / "runs")
        note = controls.render_parts(new_session(registry), registry=registry)[-1]
        assert said in note
        assert note.count(". ") == 0, "one sentence"


def test_without_a_photo_it_says_what_to_do(registry: ModelRegistry) -> None:
    page = render_result(Experiment(), new_session(registry), HERE, predictor=registry.open("own"))
    assert "Add a photo" in page
    assert render_details(Experiment(), new_session(registry), HERE, predictor=registry.open("own")) == ""
