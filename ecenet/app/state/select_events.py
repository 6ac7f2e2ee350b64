"""Handlers of clicks that change the selection. Data from the browser is checked."""

from dataclasses import replace

import gradio as gr

from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import event_data
from ecenet.app.state.selection import Selection, class_of, pixel_of, stage_of
from ecenet.app.state.session import Session
from ecenet.common.errors import UserError


def required_file(path: str | None) -> str:
    """Return the path of an upload.

    Raises:
        UserError: there is no file.
    """
    if path is None:
        raise UserError("missing-value", "Expected a file, got none; choose one.")
    return path


def choose_stage(selection: Selection, stage: str) -> Selection:
    return replace(selection, stage=stage)


@show_errors
def choose_class(selection: Selection, class_name: object) -> Selection:
    """Select a class by name; the photo need not contain it.

    Raises:
        gr.Error: the name is not a string.
    """
    if not isinstance(class_name, str):
        raise UserError(
            "unknown-choice", f"Expected the name of a class, got {str(class_name)[:60]!r}; choose one of the list."
        )
    return replace(selection, class_name=class_name, reference=None)


@show_errors
def choose_row(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """Select the class whose legend row was clicked, `{"class_index": …}`; null clears the selection.

    Raises:
        gr.Error: the class does not exist.
    """
    index = event_data(event).get("class_index")
    prediction = session.required_photo(selection).prediction
    return replace(selection, class_name=None if index is None else class_of(prediction, index), reference=None)


@show_errors
def choose_photo(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """Select the photo whose picture was clicked, `{"index": …}`; the pixel is kept if the photo was selected before.

    Raises:
        gr.Error: the photo does not exist.
    """
    index = event_data(event).get("index")
    if not (type(index) is int and 0 <= index < len(session.photos)):
        raise UserError(
            "unknown-choice",
            f"Expected one of your photos, 0 … {len(session.photos) - 1}, got {str(index)[:60]}; click one.",
        )
    photo = session.photos[index]
    if photo is session.photo(selection):
        return replace(selection, photo=index, reference=None)
    return selection.with_photo(index, photo.prediction)


@show_errors
def choose_pixel(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """Select the pixel that was clicked, `{"x": …, "y": …}`.

    Raises:
        gr.Error: the pixel is outside the photo.
    """
    prediction = session.required_photo(selection).prediction
    clicked = event_data(event)
    return replace(selection, pixel=pixel_of(prediction, clicked.get("x"), clicked.get("y")))


@show_errors
def choose_place(session: Session, selection: Selection, event: gr.EventData) -> Selection:
    """Select the class and stage of the map or gate that was clicked, `{"stage": …, "class_index": …}`.

    Raises:
        gr.Error: the class or stage does not exist.
    """
    prediction = session.required_photo(selection).prediction
    clicked = event_data(event)
    return replace(
        selection,
        stage=stage_of(prediction, clicked.get("stage")),
        class_name=class_of(prediction, clicked.get("class_index")),
        reference=None,
    )
