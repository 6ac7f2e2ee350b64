"""Evaluate: what a whole split says about the model, from a bank of its embeddings and confusions."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from ecenet.bank import EmbeddingBank, read_bank
from ecenet.errors import UserError
from ecenet.explore.dataset import (
    ClassSpread,
    cell_images,
    class_spreads,
    stage_confusion,
    stage_mious,
    worst_images,
)
from ecenet.metrics import intersection_over_union
from ecenet.prediction import stage_title
from ecenet.ui.html import color_swatch, empty_state, escape
from ecenet.ui.map_events import embedding_stage
from ecenet.ui.reference import find_bank, hash_of
from ecenet.ui.selection import MIN_AREA, Selection
from ecenet.ui.session import Session
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.toast import show_errors
from ecenet.ui.view import HIDDEN, View, event_data

MAX_CLASSES = 30
"""Rows of the confusion matrix: the classes with most pixels."""
LISTED = 8
NO_BANK = (
    "These weights have no bank beside them. Make one with `python -m ecenet embed --weights … --data … --split val "
    "--out val.parquet` and open it here."
)
CLICK = """element.addEventListener('click', event => {
  const cell = event.target.closest('[data-truth]');
  if (cell) trigger('cell', {truth: Number(cell.dataset.truth), predicted: Number(cell.dataset.predicted)});
});"""


class Source(NamedTuple):
    bank: EmbeddingBank
    own: bool
    """Opened by the visitor, rather than found beside the weights."""


def build(session: gr.State, selection: gr.State, *, shelf: ModelShelf) -> View:
    """Lay out the tab."""
    opened = gr.State(None)
    gr.Markdown(
        "What a whole split says: confusions, and how far each class's embeddings keep from their nearest rival. Click "
        "a cell to see which images are behind it."
    )
    with gr.Row():
        about = gr.HTML(elem_id="bank-about")
        upload = gr.UploadButton(
            "Open a bank (.parquet)", file_types=[".parquet"], type="filepath", size="sm", scale=0, elem_id="open-bank"
        )
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            matrix = gr.HTML(js_on_load=CLICK, elem_id="confusion")
        with gr.Column(scale=1, min_width=240):
            images = gr.HTML(elem_id="cell-images")
    spreads = gr.HTML(elem_id="class-spreads")

    view = View(partial(render, shelf=shelf), [session, selection, opened], [about, matrix, images, spreads])

    @show_errors
    def open_file(session: Session, path: str) -> EmbeddingBank:
        return read_bank(Path(path), weights=hash_of(shelf, session.model))

    upload.upload(open_file, [session, upload], opened, api_visibility="private")
    view.after(opened.change, show_progress="minimal")

    @show_errors
    def open_cell(session: Session, selection: Selection, opened: EmbeddingBank | None, event: gr.EventData) -> str:
        return show_cell(session, selection, opened, event_data(event), shelf=shelf)

    matrix.cell(open_cell, [session, selection, opened], images, **HIDDEN)
    return view


def source_of(session: Session, opened: EmbeddingBank | None, *, shelf: ModelShelf) -> Source | None:
    """The bank that was opened, as long as its model is the chosen one; else the one beside the weights."""
    if opened is not None and opened.about["weights_hash"] == hash_of(shelf, session.model):
        return Source(opened, own=True)
    bank = find_bank(shelf, session.model)
    return None if bank is None else Source(bank, own=False)


def render(
    session: Session, selection: Selection, opened: EmbeddingBank | None, *, shelf: ModelShelf
) -> tuple[str, str, str, str]:
    """What the bank is, the confusion matrix, the worst images, and the classes' spread; all at the selected stage."""
    source = source_of(session, opened, shelf=shelf)
    if source is None:
        return empty_state(NO_BANK), "", "", ""
    bank, stage = source.bank, embedding_stage(session, selection)
    names, colors = bank.about["class_names"], bank.about["class_colors"]
    confusion = stage_confusion(bank, stage)
    worst = [(image, f"{score:.0%}") for image, score in worst_images(bank, stage, count=LISTED)]
    return (
        about_bank(source, stage=stage),
        confusion_table(confusion, names=names, title=stage_title(stage)),
        image_list("Worst images, by the mean IoU of their classes", worst, names=bank.images),
        spread_table(
            class_spreads(bank, stage, min_area=MIN_AREA),
            iou=intersection_over_union(confusion),
            names=names,
            colors=colors,
        ),
    )


def about_bank(source: Source, *, stage: str) -> str:
    """Where the numbers come from, and mIoU by stage."""
    bank = source.bank
    where = f"{len(bank.images)} images of {escape(bank.about['data'])}, {escape(bank.about['split'])}"
    if bank.about["split"] == "train":
        where += "; the model was trained on them, which flatters it"
    mious = " ".join(
        f"<span>{stage_title(name)} <b>{value:.1%}</b></span>"
        if name == stage
        else f"<span>{stage_title(name)} {value:.1%}</span>"
        for name, value in stage_mious(bank).items()
    )
    return f'<p class="ece-bank">{where}.</p><p class="ece-bank">mIoU {mious}</p>'


def confusion_table(confusion: np.ndarray, *, names: list[str], title: str) -> str:
    """Rows are the truth, in shares of its pixels; every cell is a button."""
    pixels = confusion.sum(axis=1)
    shown = [int(k) for k in np.argsort(-pixels, kind="stable")[:MAX_CLASSES] if pixels[k] > 0]
    heads = "".join(f'<th scope="col"><span>{escape(names[k])}</span></th>' for k in shown)
    body = ""
    for truth in shown:
        cells = ""
        for predicted in shown:
            share = confusion[truth, predicted] / pixels[truth]
            text = f"{share:.0%}" if share >= 0.005 else ""
            label = escape(f"{names[truth]} taken for {names[predicted]}: {share:.1%}")
            cells += (
                f'<td><button type="button" data-truth="{truth}" data-predicted="{predicted}" title="{label}" '
                f'aria-label="{label}" style="--share:{share:.3f}">{text}</button></td>'
            )
        body += f'<tr><th scope="row">{escape(names[truth])}</th>{cells}</tr>'
    return f"""
<div class="ece-scroll"><table class="ece-gates ece-confusion">
  <caption>{title}: where the pixels of each true class (rows) go</caption>
  <thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody>
</table></div>"""


def image_list(title: str, rows: list[tuple[int, str]], *, names: list[str]) -> str:
    items = "".join(f"<li>{escape(names[image])} <b>{text}</b></li>" for image, text in rows)
    return f'<p class="ece-note">{escape(title)}</p><ol class="ece-images">{items or "<li>none</li>"}</ol>'


def show_cell(
    session: Session,
    selection: Selection,
    opened: EmbeddingBank | None,
    clicked: dict[str, Any],
    *,
    shelf: ModelShelf,
) -> str:
    """Images behind a cell of the matrix, most pixels first.

    Args:
        clicked: `truth` and `predicted`, indices of classes, as a browser sent them.
    Raises:
        UserError: they are not, or there is no bank.
    """
    source = source_of(session, opened, shelf=shelf)
    if source is None:
        raise UserError("Expected a bank to be shown, but there is none; open one first.")
    bank, stage = source.bank, embedding_stage(session, selection)
    names = bank.about["class_names"]
    pair = clicked.get("truth"), clicked.get("predicted")
    for k in pair:
        if not (type(k) is int and 0 <= k < len(names)):
            raise UserError(f"Expected a class, 0 … {len(names) - 1}, got {str(k)[:60]}; click a cell of the matrix.")
    truth, predicted = int(str(pair[0])), int(str(pair[1]))
    found = cell_images(bank, stage, truth=truth, predicted=predicted, count=LISTED)
    title = f"{names[truth]} taken for {names[predicted]}, pixels" if truth != predicted else f"{names[truth]}, pixels"
    return image_list(title, [(image, f"{count:,}") for image, count in found], names=bank.images)


def spread_table(spreads: list[ClassSpread], *, iou: np.ndarray, names: list[str], colors: list[list[int]]) -> str:
    """One row a class, the lowest margin first: where a rival is near, confusions are to be expected."""
    rows = ""
    for one in sorted(spreads, key=lambda spread: (np.isnan(spread.margin), spread.margin)):
        rival = "–" if one.rival is None else f"{color_swatch(colors[one.rival])}{escape(names[one.rival])}"
        margin = "–" if np.isnan(one.margin) else f"{one.margin:.3f}"
        rows += (
            f"<tr><td>{color_swatch(colors[one.class_index])}{escape(names[one.class_index])}</td>"
            f"<td>{iou[one.class_index]:.0%}</td><td>{one.count}</td><td>{one.spread:.3f}</td><td>{rival}</td>"
            f"<td>{margin}</td><td>{one.astray:.0%}</td></tr>"
        )
    heads = "".join(
        f"<th>{name}</th>" for name in ("Class", "IoU", "Images", "Spread", "Nearest rival", "Margin", "Astray")
    )
    return f"""
<div class="ece-scroll"><table class="ece-legend">
  <caption>Class embeddings, lowest margin first</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>
</table></div>
<p class="ece-note">Spread: mean cosine distance to the class's centroid. Margin: how much farther the nearest rival's
centroid is than the own one, median. Astray: embeddings that lie nearer to some other class.</p>"""
