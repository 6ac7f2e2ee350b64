"""What one visitor has before them: their photos, and which one is looked at."""

from dataclasses import dataclass, replace
from pathlib import Path

from ecenet.images import load_image, thumbnail
from ecenet.prediction import Prediction
from ecenet.predictor import Predictor

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

    @property
    def current(self) -> Photo | None:
        return self.photos[self.selected] if self.photos else None

    def with_photo(self, photo: Photo) -> "Session":
        """Add a photo and look at it."""
        photos = (*self.photos, photo)[-MAX_PHOTOS:]
        return Session(photos, selected=len(photos) - 1)

    def select(self, index: int) -> "Session":
        return replace(self, selected=index) if 0 <= index < len(self.photos) else self


def add_photo(session: Session, path: str, *, predictor: Predictor) -> Session:
    """Segment the photo at `path` and look at it.

    Raises:
        UserError: it is no usable image.
    """
    image = thumbnail(load_image(path), max_side=MAX_PHOTO_SIDE)
    return session.with_photo(Photo(Path(path).stem, predictor.predict(image)))
