"""What one visitor has before them: their photos, which one is looked at, and the model that segments them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ecenet.images import load_image, thumbnail
from ecenet.prediction import Prediction
from ecenet.predictor import Predictor
from ecenet.ui.shelf import ModelShelf

MAX_PHOTOS = 20
"""Photos a session keeps; the oldest goes first."""
MAX_PHOTO_SIDE = 1024
"""Longest side in pixels at which the app shows photos; larger ones are scaled down on arrival."""


@dataclass(frozen=True)
class Photo:
    """One photo and what the model made of it."""

    name: str
    prediction: Prediction


@dataclass(frozen=True)
class Session:
    """Never changed in place: an error on the way leaves the old one whole."""

    photos: tuple[Photo, ...] = ()
    selected: int = 0
    model: str = ""
    """Key of the `ModelShelf`; every photo has been segmented by it."""
    stage_names: tuple[str, ...] = ()
    """The model's, coarse to fine."""

    @property
    def current(self) -> Photo | None:
        return self.photos[self.selected] if self.photos else None

    def with_photo(self, photo: Photo) -> "Session":
        """Add a photo and look at it."""
        photos = (*self.photos, photo)[-MAX_PHOTOS:]
        return replace(self, photos=photos, selected=len(photos) - 1)

    def without_photos(self) -> "Session":
        return replace(self, photos=(), selected=0)

    def select(self, index: int) -> "Session":
        return replace(self, selected=index) if 0 <= index < len(self.photos) else self


def new_session(shelf: ModelShelf) -> Session:
    """No photo yet, and the model that the app was started with."""
    return choose_model(Session(), shelf.initial, shelf=shelf)


def add_photo(session: Session, path: str, *, predictor: Predictor) -> Session:
    """Segment the photo at `path` and look at it.

    Raises:
        UserError: it is no usable image.
    """
    image = thumbnail(load_image(path), max_side=MAX_PHOTO_SIDE)
    return session.with_photo(Photo(Path(path).stem, predictor.predict(image)))


def choose_model(
    session: Session,
    key: str,
    *,
    shelf: ModelShelf,
    track: Callable[[tuple[Photo, ...]], Iterable[Photo]] = iter,
) -> Session:
    """Segment every photo of the session with another model.

    Args:
        track: wraps the photos, to show how far it is.
    Raises:
        UserError: there is no such model, or it cannot be loaded.
    """
    predictor = shelf.open(key)
    photos = tuple(Photo(photo.name, predictor.predict(photo.prediction.image)) for photo in track(session.photos))
    return replace(session, photos=photos, model=key, stage_names=tuple(predictor.model.stage_names))
