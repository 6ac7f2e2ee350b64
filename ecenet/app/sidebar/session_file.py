"""Save the session as a zip file, and open it again."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ecenet.analysis.diagnostics.ground_truth import read_truth
from ecenet.analysis.embeddings.embedding_map import EmbeddingMap, MapRequest, describe_map, draw_map
from ecenet.analysis.embeddings.projection import Fitter
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import MODEL_EACH, Subscription
from ecenet.app.state.limits import Limits
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import required_file
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import MAX_PHOTO_SIDE, OPENED, Photo, Session
from ecenet.app.state.session_zip import Entry, read_bundle, write_bundle
from ecenet.app.widgets import download
from ecenet.data.images import thumbnail


def build(
    session: gr.State, selection: gr.State, projected: gr.State, *, registry: ModelRegistry, umap: Fitter
) -> Subscription:
    """Lay out the two buttons. Returns the subscription that enables the first one if there are photos.

    Args:
        projected: state with the `EmbeddingMap` that is shown, or None.
    """
    with gr.Row():
        save = download.build(
            "Save all as .zip",
            partial(save_session, registry=registry, fitter=umap),
            [session, selection, projected],
            elem_id="save-session",
            interactive=False,
        )
        upload = gr.UploadButton(
            "Open a saved .zip", file_types=[".zip"], type="filepath", size="sm", elem_id="open-session", min_width=110
        )

    @show_errors
    def open_file(
        selection: Selection,
        path: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Session, Selection]:
        track = partial(progress.tqdm, desc="Segmenting the saved photos", unit="photos")
        opened = open_session(Path(required_file(path)), registry=registry, track=track)
        if not opened.same_weights:
            gr.Warning("The weights have changed since this session was saved, so masks and embeddings differ.")
        return opened.session, replace(opened.selection, revision=selection.revision + 1)

    upload.upload(open_file, [selection, upload], [session, selection], **MODEL_EACH)
    return Subscription(lambda session: gr.Button(interactive=bool(session.photos)), [session], [save], "photo")


class OpenedSession(NamedTuple):
    session: Session
    selection: Selection
    same_weights: bool
    """Whether the weights are identical to those that the session was saved with."""


def save_session(
    session: Session, selection: Selection, projected: EmbeddingMap | None, *, registry: ModelRegistry, fitter: Fitter
) -> Path:
    """Write the zip file, with the map that is shown or, if none is shown, a map of the session's photos.

    Raises:
        UserError: there is no photo.
    """
    session.required_photo(selection)
    predictions = [photo.prediction for photo in session.photos]
    entries = [Entry(photo.name, photo.prediction, photo.true_mask) for photo in session.photos]
    if projected is None or not projected.shows(predictions):
        projected = draw_map(predictions, MapRequest(), previous=None, fitter=fitter)
    view = {
        "model": session.model,
        "weights_hash": registry.open(session.model).weights_hash,
        "selection": asdict(selection),
    }
    with download.new_file("ecenet-session.zip") as path:
        write_bundle(path, photos=entries, view=view, projection=describe_map(projected))
    warn_of_size(path.stat().st_size, registry.limits)
    return path


def warn_of_size(size: int, limits: Limits) -> None:
    """Warn if the saved file is too large to be opened again."""
    if size > limits.bytes:
        needed = -(-size >> 20)
        gr.Warning(
            f"This file has {needed} MB, but only files of at most {limits.megabytes} MB can be opened here. "
            f"Save fewer photos at a time, or start the app with --max-megabytes {needed}."
        )


def open_session(
    path: Path, *, registry: ModelRegistry, track: Callable[[Sequence[Any]], Iterable[Any]] = iter
) -> OpenedSession:
    """Open a saved session: segment its photos with the model that it was saved with, and restore its selection.

    Args:
        track: wraps the photos, to show progress.
    Raises:
        UserError: the file is not a saved session, or its model is not available.
    """
    bundle = read_bundle(path, limits=registry.limits)
    key = str(bundle.view.get("model"))
    predictor = registry.open(key)
    session = Session(
        model=key,
        stage_names=tuple(predictor.model.stage_names),
        limits=registry.limits,
        name=OPENED + secrets.token_hex(8),
    )
    for name, image, saved_truth in track(bundle.photos):
        prediction, truth = predictor.predict(thumbnail(image, max_side=MAX_PHOTO_SIDE)), None
        if saved_truth is not None:
            size, names = prediction.image.size, prediction.class_names
            most = image.width * image.height
            truth = read_truth("truth.png", size=size, class_names=names, content=saved_truth, max_pixels=most)
        session = session.with_photo(Photo(name, prediction, truth=truth))
    same = bundle.view.get("weights_hash") == predictor.weights_hash
    saved = bundle.view.get("selection")
    saved = saved if isinstance(saved, dict) else {}
    selection = session.selection_of(**{name: saved.get(name) for name in ("photo", "stage", "class_name", "pixel")})
    return OpenedSession(session, selection, same)
