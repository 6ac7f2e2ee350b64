"""The handlers of the What if tab, which change the experiment. Data from the browser is checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from ecenet.analysis.interventions.mask_edits import Action, edit_mask
from ecenet.analysis.interventions.painted_class import load_class, save_class
from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, Transplant
from ecenet.analysis.interventions.strokes import read_stroke
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import event_data
from ecenet.app.state.experiment import Experiment, add_painted_class, with_class
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import required_file
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.app.widgets import download
from ecenet.common.errors import UserError
from ecenet.inference.prediction import stage_title


@show_errors
def add_stroke(session: Session, selection: Selection, experiment: Experiment, event: gr.EventData) -> Experiment:
    """Add a stroke on the selected photo.

    Raises:
        gr.Error: the stroke is invalid, or there is no photo.
    """
    prediction = session.required_photo(selection).prediction
    experiment = experiment.of(session)
    stroke = read_stroke(event_data(event), stage=session.stage(selection))
    return experiment.with_strokes(prediction, (*experiment.strokes_on(prediction), stroke))


@show_errors
def undo_stroke(session: Session, selection: Selection, experiment: Experiment) -> Experiment:
    prediction = session.required_photo(selection).prediction
    experiment = experiment.of(session)
    return experiment.with_strokes(prediction, experiment.strokes_on(prediction)[:-1])


@show_errors
def clear_strokes(session: Session, selection: Selection, experiment: Experiment) -> Experiment:
    prediction = session.required_photo(selection).prediction
    return experiment.of(session).with_strokes(prediction, ())


def make_class(
    session: Session,
    selection: Selection,
    experiment: Experiment,
    name: str,
    method: Any,
    prototypes: int,
    *,
    registry: ModelRegistry,
) -> Experiment:
    """Make a class from the painted regions, and show a note if a region was enlarged to a cell of the grid.

    Raises:
        UserError: nothing is painted, or the name is empty or in use.
    """
    predictor = registry.open(session.model)
    made = add_painted_class(
        experiment.of(session),
        session,
        predictor=predictor,
        name=name,
        method=method,
        prototypes=int(prototypes),
    )
    if made.scenario.classes[-1].enlarged:
        gr.Info("The painted region is smaller than a cell of the network's grid, so the whole cell is used.")
    return made


def leave_out(session: Session, selection: Selection, experiment: Experiment, names: list[str] | None) -> Experiment:
    experiment = experiment.of(session)
    return replace(experiment, scenario=replace(experiment.scenario, without=tuple(names or ())))


def open_class(
    session: Session, selection: Selection, experiment: Experiment, path: str | None, *, registry: ModelRegistry
) -> Experiment:
    """Add a saved class.

    Raises:
        UserError: the file is not a saved class, or was made with other weights.
    """
    predictor = registry.open(session.model)
    painted = load_class(Path(required_file(path)), weights_hash=predictor.weights_hash)
    return with_class(experiment.of(session), painted, known=predictor.model.class_names)


def save_last(session: Session, experiment: Experiment, *, registry: ModelRegistry) -> Path:
    """Save the class that was painted last to a file.

    Raises:
        UserError: there is no painted class.
    """
    classes = experiment.of(session).scenario.classes
    if not classes:
        raise UserError("not-there-yet", "Expected a painted class, but there is none; make one first.")
    with download.new_file(f"{download.file_stem(classes[-1].name)}.safetensors") as path:
        save_class(classes[-1], path)
    return path


def change_mask(
    session: Session,
    selection: Selection,
    experiment: Experiment,
    stage: str,
    action: Action,
    class_name: str,
    other: str,
) -> Experiment:
    """Change the mask of a stage with `edit_mask`, where the painted region and the ground truth are its arguments.

    Raises:
        UserError: nothing is painted, the class or stage does not exist, or there is no ground truth.
    """
    photo = session.required_photo(selection)
    prediction, experiment = photo.prediction, experiment.of(session)
    mask = experiment.mask_at(prediction, stage)
    if action == "replace" and photo.true_mask is None:
        raise UserError(
            "not-there-yet", "Expected a ground truth, but this photo has none; upload one in the Pixel tab."
        )
    mask = edit_mask(
        mask,
        action,
        class_index=prediction.class_index(class_name),
        other=prediction.class_index(other),
        region=experiment.region_on(prediction),
        label_map=photo.true_mask,
    )
    if mask.enlarged:
        gr.Info(f"The painted region is smaller than a cell of {stage_title(stage)}, so the whole cell is used.")
    return experiment.with_masks(prediction, {**experiment.scenario_for(prediction).masks, stage: mask})


def forget_masks(session: Session, selection: Selection, experiment: Experiment) -> Experiment:
    return experiment.of(session).with_masks(session.required_photo(selection).prediction, {})


def knock_out(
    session: Session,
    selection: Selection,
    experiment: Experiment,
    diverse: bool,
    attention: list[str],
    updater: list[str],
    forced: bool,
    gate: float,
) -> Experiment:
    """Switch off the parts that are not selected."""
    experiment = experiment.of(session)
    stages = [name for name in session.stage_names if name not in ("ece", "final")]
    off = KnockOuts(
        diverse=diverse,
        attention_off=tuple(name for name in stages if name not in attention),
        updater_off=tuple(name for name in stages if name not in updater),
        gate=float(gate) if forced else None,
    )
    return replace(experiment, scenario=replace(experiment.scenario, knock_outs=off))


def move_embedding(
    session: Session, selection: Selection, experiment: Experiment, source: int, class_name: str, into: str, t: float
) -> Experiment:
    """Put a class embedding of one photo into the selected photo.

    Raises:
        UserError: the photo or class does not exist.
    """
    photo = session.required_photo(selection)
    if not (type(source) is int and 0 <= source < len(session.photos)):
        raise UserError(
            "unknown-choice",
            f"Expected one of your photos to take the embedding from, got {str(source)[:40]}; choose one.",
        )
    given = session.photos[source].prediction
    moved = Transplant(
        source=given,
        class_index=given.class_index(class_name),
        into=photo.prediction.class_index(into),
        t=float(t),
    )
    experiment = experiment.of(session)
    experiment = experiment.with_masks(photo.prediction, experiment.scenario_for(photo.prediction).masks)
    return replace(experiment, scenario=replace(experiment.scenario, transplant=moved))


def start_anew(session: Session, selection: Selection, experiment: Experiment) -> Experiment:
    """Discard all changes except the painted strokes."""
    return replace(experiment.of(session), scenario=Scenario(), edited=None)
