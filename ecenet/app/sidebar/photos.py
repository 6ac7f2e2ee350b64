"""The photos of a session: upload, paste, examples, and selection."""

from functools import partial
from pathlib import Path

import gradio as gr
import skimage.data
import sklearn.datasets
from gradio.data_classes import ImageData

from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import EACH, LATEST, MODEL_EACH, MODEL_QUEUE, Subscription, event_data
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.select_events import choose_photo
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session, add_photo, add_photos
from ecenet.app.widgets import thumbnails
from ecenet.common.errors import UserError
from ecenet.data.image_file import FORMATS_TEXT
from ecenet.data.images import load_image

SCROLL_TO_TABS = """() => {
  const tabs = document.querySelector('#tabs');
  const photo = document.querySelector('#photo-input');
  if (tabs.getBoundingClientRect().top < photo.getBoundingClientRect().bottom) return;
  const sizes = new ResizeObserver(() => tabs.scrollIntoView());
  sizes.observe(document.body);
  for (const move of ['wheel', 'touchstart', 'pointerdown', 'keydown'])
    addEventListener(move, () => sizes.disconnect(), {once: true, capture: true});
}"""
"""Scrolls to the tabs if they are below the photos, as on a phone. It scrolls again whenever the page changes its
height, until the visitor moves: thumbnails push the tabs down, and before the masks arrive the page may be too
short."""

KEEP_PHOTOS = '<label><input type="checkbox" checked> Keep my photos in this browser (restored after a reload)</label>'
"""Read by `lost_photos.js` in the browser; the server does not know the setting."""


def example_photos() -> list[tuple[str, str]]:
    """Return (path, caption) of example photos, which are part of installed packages."""
    skimage_photos = Path(skimage.data.__file__).parent
    sklearn_photos = Path(sklearn.datasets.__file__).parent / "images"
    gradio_photos = Path(gr.__file__).parent / "media_assets" / "images"
    photos = [
        (skimage_photos / "chelsea.png", "cat"),
        (skimage_photos / "astronaut.png", "astronaut"),
        (sklearn_photos / "china.jpg", "temple"),
        (skimage_photos / "coffee.png", "coffee"),
        (skimage_photos / "motorcycle_left.png", "garage"),
        (gradio_photos / "tower.jpg", "tower"),
    ]
    return [(str(path), caption) for path, caption in photos if path.is_file()]


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry) -> Subscription:
    """Lay out the panel."""
    examples = example_photos()
    photo = gr.Image(label="Photo", sources=["upload", "clipboard"], type="filepath", height=220, elem_id="photo-input")
    # Gradio (6.31) opens the file first even for `type="filepath"` and fails with a message of its own, which does not
    # say what to do. No longer needed once that type passes the file unopened.
    photo.preprocess = _uploaded_path  # type: ignore[method-assign]
    several = gr.UploadButton(
        # No file types: some browsers do not know HEIC, and our error message explains more than "not allowed".
        "Add several photos",
        file_count="multiple",
        size="sm",
        elem_id="several-photos",
    )
    takes = f"Drop files anywhere on this page: {FORMATS_TEXT}. {registry.limits}."
    gr.Markdown(f"{takes} Or choose an example:", elem_id="upload-limits")
    offered = thumbnails.build(
        thumbnails.render(map(_example_thumbnail, examples), label="Examples"),
        elem_id="examples",
    )
    shown = thumbnails.build(visible=False, elem_id="session-photos")
    remove = gr.Button("Remove this photo", size="sm", visible=False, elem_id="remove-photo")
    clear = gr.Button("Remove all photos", size="sm", visible=False, elem_id="clear-photos")
    gr.HTML(KEEP_PHOTOS, elem_id="keep-photos", elem_classes="ece-note")

    @show_errors
    def add(
        session: Session, selection: Selection, path: str | None, *, example: str | None = None
    ) -> tuple[Session, Selection]:
        if not path:
            return session, selection
        session = add_photo(session, path, predictor=registry.open(session.model), example=example)
        return session, session.select_newest(selection)

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
        added, problems = add_photos(session, paths, predictor=registry.open(session.model), track=track)
        for problem in problems:
            gr.Warning(problem)
        return added, added.select_newest(selection) if added is not session else selection

    @show_errors
    def add_example(session: Session, selection: Selection, event: gr.EventData) -> tuple[Session, Selection]:
        index = event_data(event).get("index")
        if not (type(index) is int and 0 <= index < len(examples)):
            raise UserError(
                "unknown-choice",
                f"Expected an example, 0 … {len(examples) - 1}, got {str(index)[:60]}; click an example.",
            )
        path, caption = examples[index]
        return add(session, selection, path, example=caption)

    def remove_one(session: Session, selection: Selection) -> tuple[Session, Selection]:
        return session.without_photo(selection)

    def remove_all(session: Session, selection: Selection) -> tuple[Session, Selection]:
        return session.without_photos(), selection.revised()

    both = [session, selection]
    added = photo.upload(add, [*both, photo], both, show_progress_on=photo, **MODEL_EACH)
    # The input is cleared only on success, so that a photo that failed stays visible.
    added.success(lambda: None, None, photo, **LATEST)
    added_several = several.upload(add_several, [*both, several], both, show_progress_on=photo, **MODEL_EACH)
    added_example = offered.pick(add_example, both, both, show_progress_on=offered, **MODEL_EACH)
    chosen = shown.pick(choose_photo, both, selection, **EACH)
    for done in (added, added_several, added_example, chosen):
        done.success(None, None, None, js=SCROLL_TO_TABS)
    remove.click(remove_one, both, both, **MODEL_QUEUE)
    clear.click(remove_all, both, both, **MODEL_QUEUE)
    return Subscription(_show_photos, both, [shown, remove, clear], "photo")


def _example_thumbnail(example: tuple[str, str]) -> thumbnails.Thumbnail:
    path, caption = example
    return thumbnails.Thumbnail.of(load_image(path), caption=caption)


def _uploaded_path(payload: ImageData | None) -> str | None:
    return payload.path if payload else None


def _show_photos(session: Session, selection: Selection) -> tuple[gr.HTML, gr.Button, gr.Button]:
    pictures = [photo.thumbnail for photo in session.photos]
    label = f"Your photos (up to {session.limits.photos})"
    pressed = min(selection.photo, len(pictures) - 1)
    buttons = thumbnails.render(pictures, label=label, pressed=pressed, session=session.name)
    # Hidden, not removed: lost_photos.js reads the session's name even without photos.
    shown = gr.HTML(buttons, visible=True if pictures else "hidden")
    return shown, gr.Button(visible=len(pictures) > 1), gr.Button(visible=bool(pictures))
