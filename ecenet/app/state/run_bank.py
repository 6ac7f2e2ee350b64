"""Opening a finished run in the app, with a bank of its training photos and with some of its validation photos."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ecenet.analysis.diagnostics.ground_truth import Truth
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import MAX_PHOTO_SIDE, Photo, Session, choose_model
from ecenet.data.images import thumbnail
from ecenet.data.split import LabelledSplit, evenly_spread
from ecenet.inference.overlay import resize_labels
from ecenet.inference.predictor import Predictor
from ecenet.training.jobs.bank import make_bank, run_data

RUN = "run:"
"""Prefix of runs in the keys of the registry."""
OPENED_PHOTOS = 6
"""Number of validation photos that are added to a session without photos."""


def lacks_bank(registry: ModelRegistry, key: str) -> bool:
    """Return whether a model is a run without a bank, which could be made from the run's data."""
    return key.startswith(RUN) and find_bank(registry, key) is None


def make_run_bank(registry: ModelRegistry, key: str, *, root: Path) -> None:
    """Make the bank of a run's weights if there is none.

    Args:
        root: folder of the runs.
    Raises:
        UserError: the run is not finished, or its data can no longer be read.
    """
    predictor = registry.open(key)
    if lacks_bank(registry, key):
        make_bank(run_data(key.removeprefix(RUN), root=root), predictor)


def open_run(
    session: Session,
    selection: Selection,
    name: str | None,
    *,
    registry: ModelRegistry,
    root: Path,
    track: Callable[[tuple[Photo, ...]], Iterable[Photo]] = iter,
) -> tuple[Session, Selection]:
    """Select the weights of a run and make their bank. Some validation photos of the run, with their ground truths, are
    added to a session without photos.

    Args:
        track: wraps the session's photos, to show progress.
    Raises:
        UserError: see `make_run_bank`.
    """
    key = f"{RUN}{name}"
    make_run_bank(registry, key, root=root)
    session = choose_model(session, key, registry=registry, track=track)
    if not session.photos:
        val = run_data(name, root=root).val
        for index in evenly_spread(len(val), limit=min(OPENED_PHOTOS, session.limits.photos)).tolist():
            session = session.with_photo(_labelled_photo(val, index, registry.open(key)))
    return session, selection.with_photo(0, session.photos[0].prediction).revised()


def _labelled_photo(data: LabelledSplit, index: int, predictor: Predictor) -> Photo:
    photo, mask = data.load(index, max_pixels=predictor.max_pixels)
    prediction = predictor.predict(thumbnail(photo, max_side=MAX_PHOTO_SIDE))
    truth = Truth(resize_labels(mask, size=prediction.image.size), tuple(prediction.class_names))
    return Photo(data.images[index].stem, prediction, truth=truth)
