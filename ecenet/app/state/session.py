"""What one visitor has: their photos, and the model that segments them."""

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
"""Beginning of the name of a session that was opened from a file."""
MAX_PHOTO_SIDE = 1024
"""Longest side in pixels at which the app shows photos; larger ones are scaled down on arrival."""


@dataclass(frozen=True)
class Photo:
    """One photo and what the model made of it."""

    name: str
    prediction: Prediction
    example: str | None = None
    """Caption of the example that it is; None for the visitor's own."""
    truth: Truth | None = None
    """Its ground truth, where somebody has given one."""
    file: str = ""
    """Path of the visitor's upload, which their browser may ask for; empty where it was none."""

    @property
    def true_mask(self) -> np.ndarray | None:
        """(H, W) uint8 class indices, 255 = ignore; None where there is no truth in the classes of this model."""
        known = self.truth is not None and self.truth.class_names == tuple(self.prediction.class_names)
        return self.truth.mask if known and self.truth is not None else None

    @cached_property
    def pictures(self) -> dict[str, StagePictures]:
        """Of every stage; drawn once, since that takes longer than a click on a photo may."""
        return stage_pictures(self.prediction)

    @cached_property
    def regions(self) -> RegionPictures:
        """What the map shows beside its points; drawn once, as above."""
        return region_pictures(self.prediction)

    @cached_property
    def thumbnail(self) -> Thumbnail:
        """Drawn once, since all are sent whenever one of them is chosen."""
        return Thumbnail.of(self.prediction.image, caption=self.name, file=self.file)


@dataclass(frozen=True)
class Session:
    """Never changed in place: an error on the way leaves the old one whole."""

    photos: tuple[Photo, ...] = ()
    model: str = ""
    """Key of the `ModelRegistry`; every photo has been segmented by it."""
    stage_names: tuple[str, ...] = ()
    """The model's, coarse to fine."""
    limits: Limits = field(default_factory=Limits)
    """Photos beyond are refused."""
    name: str = ""
    """Given with the first photo. The page learns from another name that its session was lost, and sends its photos
    again. That of a session opened from a file begins with `OPENED`: it replaces the one before on purpose."""

    def photo(self, selection: Selection) -> Photo | None:
        """The selected one, or the last where there are fewer; None without any."""
        return self.photos[min(selection.photo, len(self.photos) - 1)] if self.photos else None

    def required_photo(self, selection: Selection) -> Photo:
        """The same where there must be one.

        Raises:
            UserError: there is none.
        """
        photo = self.photo(selection)
        if photo is None:
            raise UserError("not-there-yet", "Expected a photo, but there is none yet; add one first.")
        return photo

    def stage(self, selection: Selection) -> str:
        """The selected one, or the final one where the model has no such stage."""
        return selection.stage if selection.stage in self.stage_names else "final"

    def embedding_stage(self, selection: Selection) -> str:
        """The stage whose embeddings the selected one uses: the last that makes some, for `final`."""
        stage = self.stage(selection)
        return stage if stage != "final" else [name for name in self.stage_names if name != "final"][-1]

    def selection_of(self, *, photo: object, stage: object, class_name: object, pixel: object) -> Selection:
        """The place that a link or a file names, as far as the session has it: anybody can write such a thing.

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
        """Raises:
        UserError: there are as many as there may be; none is given up for another.
        """
        if self.is_full:
            raise self.too_many([photo.name])
        return replace(self, photos=(*self.photos, photo), name=self.name or secrets.token_hex(8))

    def too_many(self, names: Sequence[str]) -> UserError:
        """Of photos that there is no room for."""
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return UserError(
            "too-many",
            f"Expected at most {self.limits.photos} photos, which are there already, so that {shown} did not fit; "
            "remove photos first, and save the session to keep them.",
            limit=self.limits.photos,
        )

    def without_photo(self, selection: Selection) -> tuple["Session", Selection]:
        """All but the selected one, and its neighbour selected."""
        gone = self.photo(selection)
        left = replace(self, photos=tuple(photo for photo in self.photos if photo is not gone))
        if not left.photos:
            return left, selection.revised()
        index = min(selection.photo, len(left.photos) - 1)
        return left, selection.with_photo(index, left.photos[index].prediction).revised()

    def select_newest(self, selection: Selection) -> Selection:
        """The photo that came last; there must be one."""
        return selection.with_photo(len(self.photos) - 1, self.photos[-1].prediction).revised()

    def with_truth(self, selection: Selection, truth: Truth | None) -> "Session":
        """The selected photo's ground truth, or none.

        Raises:
            UserError: there is no photo.
        """
        photo = self.required_photo(selection)
        return replace(self, photos=tuple(replace(one, truth=truth) if one is photo else one for one in self.photos))

    def without_photos(self) -> "Session":
        return replace(self, photos=())


def new_session(registry: ModelRegistry) -> Session:
    """No photo yet, and the model that the app was started with."""
    return choose_model(Session(limits=registry.limits), registry.initial, registry=registry)


def add_photo(session: Session, path: str, *, predictor: Predictor, example: str | None = None) -> Session:
    """Segment the photo at `path`.

    Raises:
        UserError: it is no usable image, or there is no room for it.
    """
    if session.is_full:
        raise session.too_many([label_of(path)])
    prediction = predictor.predict(read_photo(path, max_pixels=predictor.max_pixels))
    return session.with_photo(Photo(Path(path).stem, prediction, example, file="" if example else path))


def read_photo(path: str, *, max_pixels: int) -> RGBImage:
    """The photo at `path`, at the size at which the app shows it; of a JPEG whose end is missing, what is there.

    Args:
        max_pixels: largest photo to accept.
    Raises:
        UserError: it is no usable image, or too long to be shown at that size.
    """
    image = load_image(path, max_pixels=max_pixels, partial=True)
    shown = thumbnail(image, max_side=MAX_PHOTO_SIDE)
    if min(shown.size) < MIN_SIDE:
        raise UserError(
            "image-too-small",
            f"Expected a photo at most {MAX_PHOTO_SIDE // MIN_SIDE} times as long as wide, but {label_of(path)} has "
            f"{image.width}×{image.height}; cut a part out of it.",
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
    """Segment several photos; one that cannot be used does not keep the others out.

    Args:
        track: wraps the paths, to show how far it is.
    Returns: the session, and a sentence for each problem.
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
        track: wraps the photos, to show how far it is.
    Raises:
        UserError: there is no such model, or it cannot be loaded.
    """
    predictor = registry.open(key)
    photos = tuple(
        replace(photo, prediction=predictor.predict(photo.prediction.image)) for photo in track(session.photos)
    )
    return replace(session, photos=photos, model=key, stage_names=tuple(predictor.model.stage_names))
