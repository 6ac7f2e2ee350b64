"""The session of a visitor: photos, and the model that segments them."""

import contextlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ecenet.analysis.diagnostics.ground_truth import Truth
from ecenet.app.error_reporting import log_refusal
from ecenet.app.state.limits import Limits
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection, pixel_of
from ecenet.app.widgets.pixel_planes import StagePictures, stage_pictures
from ecenet.app.widgets.region_pictures import RegionPictures, region_pictures
from ecenet.app.widgets.thumbnails import Thumbnail
from ecenet.common.errors import UserError
from ecenet.data.image_file import MIN_SIDE, label_of
from ecenet.data.images import RGBImage, load_image, thumbnail
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor

OPENED = "opened-"
"""Prefix of the names of sessions opened from a file."""
MAX_PHOTO_SIDE = 1024
"""Longest side of photos in pixels; larger ones are scaled down when they are added."""


@dataclass(frozen=True)
class Photo:
    """A photo and its prediction."""

    name: str
    prediction: Prediction
    example: str | None = None
    """Caption if it is an example; None for photos of the visitor."""
    truth: Truth | None = None
    """Its ground truth, if one was uploaded."""
    file: str = ""
    """Path of the upload, which the browser may request, or ""."""

    @property
    def true_mask(self) -> np.ndarray | None:
        """Return the ground truth, (H, W) uint8 class indices, 255 = ignore, or None if there is none in the model's
        classes."""
        known = self.truth is not None and self.truth.class_names == tuple(self.prediction.class_names)
        return self.truth.mask if known and self.truth is not None else None

    @cached_property
    def pictures(self) -> dict[str, StagePictures]:
        """The pictures of every stage; cached, since drawing takes too long for every click."""
        return stage_pictures(self.prediction)

    @cached_property
    def regions(self) -> RegionPictures:
        """Region pictures that the map shows for its points; cached."""
        return region_pictures(self.prediction)

    @cached_property
    def thumbnail(self) -> Thumbnail:
        """The thumbnail; cached, since all thumbnails are sent whenever a photo is selected."""
        return Thumbnail.of(self.prediction.image, caption=self.name, file=self.file)


@dataclass(frozen=True)
class Session:
    """The session of a visitor. It is immutable, so an error leaves the previous one intact."""

    photos: tuple[Photo, ...] = ()
    model: str = ""
    """Key in the `ModelRegistry` of the model that has segmented all photos."""
    stage_names: tuple[str, ...] = ()
    """Stages of the model, coarse to fine."""
    limits: Limits = field(default_factory=Limits)
    """Limits of uploads and of the number of photos."""
    name: str = ""
    """Set with the first photo. If the name changes, the page knows that its session was lost and sends its photos
    again. Names of sessions opened from a file begin with `OPENED`: they replace the previous one on purpose."""

    def photo(self, selection: Selection) -> Photo | None:
        """Return the selected photo, or the last one if there are fewer, or None without photos."""
        return self.photos[min(selection.photo, len(self.photos) - 1)] if self.photos else None

    def required_photo(self, selection: Selection) -> Photo:
        """Return the selected photo.

        Raises:
            UserError: there is no photo.
        """
        photo = self.photo(selection)
        if photo is None:
            raise UserError("not-there-yet", "Expected a photo, but there is none; add one first.")
        return photo

    def stage(self, selection: Selection) -> str:
        """Return the selected stage, or `final` if the model does not have it."""
        return selection.stage if selection.stage in self.stage_names else "final"

    def embedding_stage(self, selection: Selection) -> str:
        """Return the stage whose embeddings the selected stage uses; for `final`, the last stage before it."""
        stage = self.stage(selection)
        return stage if stage != "final" else [name for name in self.stage_names if name != "final"][-1]

    def selection_of(self, *, photo: object, stage: object, class_name: object, pixel: object) -> Selection:
        """Return the selection given by a link or a file. Invalid values are ignored, since both may contain anything.

        Args:
            pixel: (x, y).
        """
        selection = Selection(
            photo=photo if type(photo) is int and 0 <= photo < len(self.photos) else 0,
            stage=stage if isinstance(stage, str) and stage in self.stage_names else "final",
        )
        photo_there = self.photo(selection)
        if photo_there is None:
            return selection
        if class_name in photo_there.prediction.class_names:
            selection = replace(selection, class_name=str(class_name))
        if isinstance(pixel, list | tuple) and len(pixel) == 2:
            with contextlib.suppress(UserError):
                selection = replace(selection, pixel=pixel_of(photo_there.prediction, *pixel))
        return selection

    @property
    def is_full(self) -> bool:
        return len(self.photos) >= self.limits.photos

    def with_photo(self, photo: Photo) -> "Session":
        """Add a photo.

        Raises:
            UserError: the limit is reached.
        """
        if self.is_full:
            raise self.too_many([photo.name])
        return replace(self, photos=(*self.photos, photo), name=self.name or secrets.token_hex(8))

    def too_many(self, names: Sequence[str]) -> UserError:
        """Return the error for photos beyond the limit."""
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return UserError(
            "too-many",
            f"Expected at most {self.limits.photos} photos, and that limit is reached, so {shown} could not be added; "
            "remove photos first (save the session to keep them).",
            limit=self.limits.photos,
        )

    def without_photo(self, selection: Selection) -> tuple["Session", Selection]:
        """Remove the selected photo and select its neighbour."""
        gone = self.photo(selection)
        left = replace(self, photos=tuple(photo for photo in self.photos if photo is not gone))
        if not left.photos:
            return left, selection.revised()
        index = min(selection.photo, len(left.photos) - 1)
        return left, selection.with_photo(index, left.photos[index].prediction).revised()

    def select_newest(self, selection: Selection) -> Selection:
        """Select the photo that was added last; there must be one."""
        return selection.with_photo(len(self.photos) - 1, self.photos[-1].prediction).revised()

    def with_truth(self, selection: Selection, truth: Truth | None) -> "Session":
        """Set or remove the ground truth of the selected photo.

        Raises:
            UserError: there is no photo.
        """
        photo = self.required_photo(selection)
        return replace(self, photos=tuple(replace(one, truth=truth) if one is photo else one for one in self.photos))

    def without_photos(self) -> "Session":
        return replace(self, photos=())


def new_session(registry: ModelRegistry) -> Session:
    """Return a session without photos, with the model that the app was started with."""
    return choose_model(Session(limits=registry.limits), registry.initial, registry=registry)


def add_photo(session: Session, path: str, *, predictor: Predictor, example: str | None = None) -> Session:
    """Segment the photo at `path` and add it.

    Raises:
        UserError: the file is not a usable image, or the limit of photos is reached.
    """
    if session.is_full:
        raise session.too_many([label_of(path)])
    prediction = predictor.predict(read_photo(path, max_pixels=predictor.max_pixels))
    return session.with_photo(Photo(Path(path).stem, prediction, example, file="" if example else path))


def read_photo(path: str, *, max_pixels: int) -> RGBImage:
    """Read the photo at `path` and scale it down to the app's size. Truncated JPEGs are read as far as possible.

    Args:
        max_pixels: largest accepted number of pixels.
    Raises:
        UserError: the file is not a usable image, or too elongated for that size.
    """
    image = load_image(path, max_pixels=max_pixels, partial=True)
    shown = thumbnail(image, max_side=MAX_PHOTO_SIDE)
    if min(shown.size) < MIN_SIDE:
        raise UserError(
            "image-too-small",
            f"Expected a photo at most {MAX_PHOTO_SIDE // MIN_SIDE} times as long as wide, but {label_of(path)} has "
            f"{image.width}×{image.height} pixels; crop it.",
            limit=MIN_SIDE,
        )
    return shown


def add_photos(
    session: Session,
    paths: Sequence[str],
    *,
    predictor: Predictor,
    track: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> tuple[Session, list[str]]:
    """Segment several photos and add them. Photos that cannot be used are skipped.

    Args:
        track: wraps the paths, to show progress.
    Returns: the session, and a message for each problem.
    """
    problems: list[str] = []
    left_out: list[str] = []
    for path in track(paths):
        if session.is_full:
            left_out.append(label_of(path))
            continue
        try:
            session = add_photo(session, path, predictor=predictor)
        except UserError as error:
            log_refusal("ecenet.app.state.session.add_photos", error)
            problems.append(str(error))
    if left_out:
        problems.append(str(session.too_many(left_out)))
    return session, problems


def choose_model(
    session: Session,
    key: str,
    *,
    registry: ModelRegistry,
    track: Callable[[tuple[Photo, ...]], Iterable[Photo]] = iter,
) -> Session:
    """Segment every photo of the session with another model.

    Args:
        track: wraps the photos, to show progress.
    Raises:
        UserError: the model does not exist or cannot be loaded.
    """
    predictor = registry.open(key)
    photos = tuple(
        replace(photo, prediction=predictor.predict(photo.prediction.image)) for photo in track(session.photos)
    )
    return replace(session, photos=photos, model=key, stage_names=tuple(predictor.model.stage_names))
