"""The photos of a session: upload, paste, examples, and choosing among them."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import skimage.data
import sklearn.datasets
from gradio.data_classes import ImageData

from ecenet.errors import UserError
from ecenet.images import thumbnail
from ecenet.ui.choose import choose_photo
from ecenet.ui.selection import Selection
from ecenet.ui.session import Session, add_photo, add_photos
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.toast import show_errors
from ecenet.ui.view import HIDDEN, LIVE, MODEL_QUEUE, View, event_data

SCROLL_TO_TABS = """() => {
  const tabs = document.querySelector('#tabs');
  if (tabs.getBoundingClientRect().top > innerHeight / 2) tabs.scrollIntoView();
}"""
"""Where they are not beside the photos but below them, as on a phone, nobody would see that there is something new. At
once: browsers keep in place what they have scrolled to while thumbnails appear above it, but not on the way to it."""


def example_photos() -> list[tuple[str, str]]:
    """(path, caption) of photos that installed packages carry."""
    skimage_photos = Path(skimage.data.__file__).parent
    sklearn_photos = Path(sklearn.datasets.__file__).parent / "images"
    photos = [
        (skimage_photos / "chelsea.png", "cat"),
        (skimage_photos / "astronaut.png", "astronaut"),
        (sklearn_photos / "china.jpg", "temple"),
    ]
    return [(str(path), caption) for path, caption in photos if path.is_file()]


def build(session: gr.State, selection: gr.State, *, shelf: ModelShelf) -> View:
    """Lay out the panel."""
    examples = example_photos()
    photo = gr.Image(label="Photo", sources=["upload", "clipboard"], type="filepath", height=220, elem_id="photo-input")
    # Gradio would open the file first, and fail with a message of its own: ours tells what to do.
    photo.preprocess = _uploaded_path  # type: ignore[method-assign]
    thumbnails: dict[str, Any] = {
        "columns": 3,
        "height": "auto",
        "object_fit": "cover",
        "allow_preview": False,
        "interactive": False,
        "show_label": False,
        "buttons": [],
        "elem_classes": "ece-thumbnails",
    }
    several = gr.UploadButton(
        "Add several photos", file_count="multiple", file_types=["image"], size="sm", elem_id="several-photos"
    )
    gr.Markdown(f"{shelf.limits}. Or an example:", elem_id="upload-limits")
    example_gallery = gr.Gallery(
        examples,
        label="Examples",
        elem_id="examples",
        **thumbnails,
    )
    gallery = gr.Gallery(
        label=f"Your photos (up to {shelf.limits.photos})",
        visible=False,
        elem_id="session-photos",
        **thumbnails,
    )
    clear = gr.Button("Remove all photos", size="sm", visible=False, elem_id="clear-photos")

    @show_errors
    def add(
        session: Session, selection: Selection, path: str | None, *, example: str | None = None
    ) -> tuple[Session, Selection]:
        if not path:
            return session, selection
        session = add_photo(session, path, predictor=shelf.open(session.model), example=example)
        return session, session.look_at_newest(selection)

    @show_errors
    def add_several(
        session: Session,
        selection: Selection,
        paths: list[str] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Session, Selection]:
        if not paths:
            return session, selection
        track = partial(progress.tqdm, desc="Segmenting your photos", unit="photos")
        added, problems = add_photos(session, paths, predictor=shelf.open(session.model), track=track)
        for problem in problems:
            gr.Warning(problem)
        return added, added.look_at_newest(selection) if added is not session else selection

    @show_errors
    def add_example(session: Session, selection: Selection, event: gr.EventData) -> tuple[Session, Selection]:
        index = event_data(event).get("index")
        if not (type(index) is int and 0 <= index < len(examples)):
            raise UserError(f"Expected an example, 0 … {len(examples) - 1}, got {str(index)[:60]}; click one.")
        path, caption = examples[index]
        return add(session, selection, path, example=caption)

    def remove_all(session: Session, selection: Selection) -> tuple[Session, Selection]:
        return session.without_photos(), selection.look_again()

    both = [session, selection]
    added = photo.upload(add, [*both, photo], both, show_progress_on=photo, **MODEL_QUEUE)
    # The input is emptied only after success: a photo that failed stays where its owner can see it.
    added.success(lambda: None, None, photo, **HIDDEN)
    added_several = several.upload(add_several, [*both, several], both, show_progress_on=photo, **MODEL_QUEUE)
    added_example = example_gallery.select(add_example, both, both, show_progress_on=example_gallery, **MODEL_QUEUE)
    # Gradio reports also what we select: a click that comes while such a report is answered must not be lost.
    chosen = gallery.select(choose_photo, both, selection, **LIVE)
    for shown in (added, added_several, added_example, chosen):
        shown.success(None, None, None, js=SCROLL_TO_TABS)
    clear.click(remove_all, both, both, **MODEL_QUEUE)
    return View(_show_photos, both, [gallery, clear], "photo")


def _uploaded_path(payload: ImageData | None) -> str | None:
    return payload.path if payload else None


def _show_photos(session: Session, selection: Selection) -> tuple[gr.Gallery, gr.Button]:
    thumbnails = [(thumbnail(photo.prediction.image, max_side=256), photo.name) for photo in session.photos]
    any_photo = bool(thumbnails)
    selected = min(selection.photo, len(thumbnails) - 1) if any_photo else None
    return gr.Gallery(thumbnails, selected_index=selected, visible=any_photo), gr.Button(visible=any_photo)
