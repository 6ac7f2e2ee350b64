"""The images behind the numbers of the Evaluate tab: as names, or as pictures if the folder of the data is known."""

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
"""Longest side in pixels of the pictures."""


class Listing(NamedTuple):
    """Images of a bank that are listed for a reason."""

    title: str
    stage: str
    rows: tuple[tuple[int, str], ...]
    """(index into the bank's images, text) of each."""
    cell: tuple[int, int] | None = None
    """(true class, predicted class) of a confusion; None for the worst images."""

    def pixels(self, truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the relevant pixels of an image, (H, W) bool: those of the confusion, or all wrong ones.

        Args:
            truth, labels: (H, W) uint8 class indices, 255 = ignore in the truth.
        """
        if self.cell is None:
            return (truth != IGNORE_INDEX) & (labels != truth)
        return (truth == self.cell[0]) & (labels == self.cell[1])


def open_data(bank: EmbeddingBank, folder: str | None, layout: Layout) -> LabelledSplit | None:
    """Read the bank's split from a folder on the server; returns None without a folder.

    Raises:
        UserError: the folder does not contain the data.
    """
    return read_data(Path(folder.strip()), bank.about["split"], layout=layout) if folder and folder.strip() else None


def image_names(listing: Listing, *, bank: EmbeddingBank) -> str:
    """Return a list of the images' names."""
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
    """Return a button for each image, with its relevant pixels highlighted.

    Args:
        track: wraps the rows, to show progress.
    Raises:
        UserError: the data is not that of the bank, or a file cannot be read.
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
<p class="ece-note">{escape(listing.title)}. Click an image to open it with its ground truth.</p>
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
    """Add an image of the bank, with its ground truth, to the session and select it.

    Args:
        image: index into the bank's images, as sent by the browser.
    Raises:
        UserError: the image is not listed, the data is not that of the bank, or its classes differ from the weights'.
    """
    if "class_map" in bank.about:
        raise UserError(
            "wrong-classes",
            "Expected a bank with the classes of the weights, but this one was made with a class map and its ground "
            "truth has other classes; add the photo in the sidebar instead.",
        )
    if not (type(image) is int and image in [index for index, _ in listing.rows]):
        raise UserError("unknown-choice", f"Expected an image of the list, got {str(image)[:60]}; click an image.")
    photo, mask = bank_image(bank, data, image, max_pixels=predictor.max_pixels)
    prediction = predictor.predict(thumbnail(photo, max_side=MAX_PHOTO_SIDE))
    truth = Truth(resize_labels(mask, size=prediction.image.size), tuple(prediction.class_names))
    session = session.with_photo(Photo(Path(bank.images[image]).stem, prediction, truth=truth))
    selection = session.select_newest(selection)
    if listing.cell is not None:
        selection = replace(selection, class_name=prediction.class_names[listing.cell[1]])
    return session, selection
