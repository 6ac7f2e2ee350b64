"""What clicks do to the selection; what a browser sends with them is checked."""

from dataclasses import replace

import gradio as gr

from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import event_data
from ecenet.app.state.selection import Selection, class_of, pixel_of, stage_of
from ecenet.app.state.session import Session
from ecenet.common.errors import UserError


def required_file(path: str | None) -> str:
    """An upload's path.

    Raises:
        UserError: there is none.
    """
    if path is None:
        raise UserError("missing-value", "Expected a file, got none; choose one.")
    return path


def choose_stage(selection: Selection, stage: str) -> Selection:
    return replace(selection, stage=stage)


@show_errors
def choose_class(selection: Selection, class_name: object) -> Selection:
    """A class by its name, which the photo need not have.

    Raises:
        gr.Error: it is no name.
    """
    if not isinstance(class_name, str):
        raise UserError(
            "unknown-choice", f"Expected a class by its name, got {str(class_name)[:60]!r}; choose one of the list."
        )
    return replace(selection, class_name=class_name, reference=None)


@show_errors
def choose_row(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """The class whose row of the legend was pressed, `{"class_index": …}`; null takes the choice back.

    Raises:
        gr.Error: the model has no such class.
    """
    index = event_data(event).get("class_index")
    prediction = session.required_photo(selection).prediction
    return replace(selection, class_name=None if index is None else class_of(prediction, index), reference=None)


@show_errors
def choose_photo(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """The photo whose picture was clicked, `{"index": …}`; of the selected one, the pixel stays.

    Raises:
        gr.Error: the session has no such photo.
    """
    index = event_data(event).get("index")
    if not (type(index) is int and 0 <= index < len(session.photos)):
        raise UserError(
            "unknown-choice",
            f"Expected a photo of yours, 0 … {len(session.photos) - 1}, got {str(index)[:60]}; click one.",
        )
    photo = session.photos[index]
    if photo is session.photo(selection):
        return replace(selection, photo=index, reference=None)
    return selection.with_photo(index, photo.prediction)


@show_errors
def choose_pixel(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """The pixel that was clicked on, `{"x": …, "y": …}`.

    Raises:
        gr.Error: it is none of the photo's.
    """
    prediction = session.required_photo(selection).prediction
    clicked = event_data(event)
    return replace(selection, pixel=pixel_of(prediction, clicked.get("x"), clicked.get("y")))


@show_errors
def choose_place(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """The class and the stage of the map or the gate that was clicked, `{"stage": …, "class_index": …}`.

    Raises:
        gr.Error: the model has no such class or stage.
    """
    prediction = session.required_photo(selection).prediction
    clicked = event_data(event)
    return replace(
        selection,
        stage=stage_of(prediction, clicked.get("stage")),
        class_name=class_of(prediction, clicked.get("class_index")),
        reference=None,
    )
