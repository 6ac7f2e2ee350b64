"""The images behind the numbers of the Evaluate tab, as names, or as pictures where the data's folder can be read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ecenet.analysis.diagnostics.ground_truth import Truth
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import MAX_PHOTO_SIDE, Photo, Session
from ecenet.app.widgets.markup import escape
from ecenet.app.widgets.pictures import marked_photo
from ecenet.common.errors import UserError
from ecenet.data.images import thumbnail
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.layouts.read import Layout, read_data
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.bank import EmbeddingBank, bank_class_map, bank_image
from ecenet.inference.overlay import resize_labels
from ecenet.inference.predictor import Predictor

PICTURE_SIDE = 320
"""Longest side in pixels of the pictures sent."""


class Listing(NamedTuple):
    """Images of a bank, and why they are listed."""

    title: str
    stage: str
    rows: tuple[tuple[int, str], ...]
    """(index into the bank's images, what to say of it)."""
    cell: tuple[int, int] | None = None
    """(true class, predicted class) of the confusion; None where they are the worst images."""

    def pixels(self, truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(H, W) bool: what is meant in an image; of the worst ones all that is wrong.

        Args:
            truth, labels: (H, W) uint8 class indices, 255 = ignore in the truth.
        """
        if self.cell is None:
            return (truth != IGNORE_INDEX) & (labels != truth)
        return (truth == self.cell[0]) & (labels == self.cell[1])


def open_data(bank: EmbeddingBank, folder: str | None, layout: Layout) -> LabelledSplit | None:
    """The bank's split in a folder of this machine; None where no folder is named.

    Raises:
        UserError: there is no such data there.
    """
    return read_data(Path(folder.strip()), bank.about["split"], layout=layout) if folder and folder.strip() else None


def image_names(listing: Listing, *, bank: EmbeddingBank) -> str:
    """A list of names."""
    items = "".join(f"<li>{escape(bank.images[image])} <b>{text}</b></li>" for image, text in listing.rows)
    return f'<p class="ece-note">{escape(listing.title)}</p><ol class="ece-images">{items or "<li>none</li>"}</ol>'


def image_cards(
    listing: Listing,
    *,
    bank: EmbeddingBank,
    data: LabelledSplit,
    predictor: Predictor,
    track: Callable[[Sequence[tuple[int, str]]], Iterable[tuple[int, str]]] = iter,
) -> str:
    """A button an image, on which the pixels that are meant stand out.

    Args:
        track: wraps the rows, to show how far it is.
    Raises:
        UserError: the data is not the bank's, or a file is bad.
    """
    cards = ""
    class_map = bank_class_map(bank, weights_names=predictor.model.class_names)
    for image, text in track(listing.rows):
        photo, truth = bank_image(bank, data, image, max_pixels=predictor.max_pixels)
        prediction = predictor.predict(photo)
        labels = prediction.stages[listing.stage].label_map
        pixels = listing.pixels(truth, labels if class_map is None else class_map.apply(labels))
        picture = marked_photo(photo, pixels, max_side=PICTURE_SIDE)
        cards += f"""
<button type="button" class="ece-card" data-image="{image}">
  <img src="{picture}" alt="{escape(bank.images[image])}">
  <span>{escape(bank.images[image])} <small>{text}</small></span>
</button>"""
    return f"""
<p class="ece-note">{escape(listing.title)}. Click one to look at it with its ground truth.</p>
<div class="ece-cards">{cards or "none"}</div>"""


def open_image(
    session: Session,
    selection: Selection,
    image: object,
    *,
    listing: Listing,
    bank: EmbeddingBank,
    data: LabelledSplit,
    predictor: Predictor,
) -> tuple[Session, Selection]:
    """Add an image of the bank to the session, with its ground truth, and look at it.

    Args:
        image: index into the bank's images, as a browser sent it.
    Raises:
        UserError: it is none that is listed, the data is not the bank's, or its classes are not the weights'.
    """
    if "class_map" in bank.about:
        raise UserError(
            "wrong-classes",
            "Expected a bank of the weights' own classes to open its images with their ground truth, but this one was "
            "made with a class map; open the photo itself in the sidebar.",
        )
    if not (type(image) is int and image in [index for index, _ in listing.rows]):
        raise UserError("unknown-choice", f"Expected an image of the list, got {str(image)[:60]}; click one.")
    photo, mask = bank_image(bank, data, image, max_pixels=predictor.max_pixels)
    prediction = predictor.predict(thumbnail(photo, max_side=MAX_PHOTO_SIDE))
    truth = Truth(resize_labels(mask, size=prediction.image.size), tuple(prediction.class_names))
    session = session.with_photo(Photo(Path(bank.images[image]).stem, prediction, truth=truth))
    selection = session.select_newest(selection)
    if listing.cell is not None:
        selection = replace(selection, class_name=prediction.class_names[listing.cell[1]])
    return session, selection
