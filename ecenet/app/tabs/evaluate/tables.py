"""The HTML of the Evaluate tab: a bank's description, its confusion matrix, and the table of its embeddings."""

import numpy as np

from ecenet.analysis.diagnostics.bank_statistics import ClassSpread, stage_mious
from ecenet.app.widgets.markup import color_swatch, escape
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.inference.prediction import stage_title

NO_BANK = (
    "These weights have no bank. Make one with `python -m ecenet embed --weights … --data … --split val "
    "--out val.parquet` and open it here."
)
NO_RUN_BANK = (
    "This run has no bank yet. The button makes one from its training photos. For its validation photos, make one with "
    "`python -m ecenet embed --split val` and open it here."
)
MAX_CLASSES = 12
"""Largest number of classes in the confusion matrix unless all are requested: those with most pixels. If only one
more is left, it is shown as well."""
OTHERS = "others"


def about_bank(bank: EmbeddingBank, *, stage: str) -> str:
    """Return the bank's data set and the mIoU of each stage."""
    where = f"{len(bank.images)} images of {escape(bank.about['data'])}, {escape(bank.about['split'])}"
    if bank.about["split"] == "train":
        where += " (the model was trained on them, so the results are better than on new photos)"
    mious = " ".join(
        f"<span>{escape(stage_title(name))} <b>{value:.1%}</b></span>"
        if name == stage
        else f"<span>{escape(stage_title(name))} {value:.1%}</span>"
        for name, value in stage_mious(bank).items()
    )
    return f'<p class="ece-bank">{where}.</p><p class="ece-bank">mIoU {mious}</p>'


def occurring_classes(confusion: np.ndarray) -> list[int]:
    """Return the classes that are labelled or predicted, those with most labelled pixels first."""
    pixels, predictions = confusion.sum(axis=1), confusion.sum(axis=0)
    return [int(k) for k in np.lexsort((-predictions, -pixels)) if pixels[k] + predictions[k] > 0]


def leaves_out(occurring: list[int]) -> bool:
    """Return whether the matrix leaves classes out unless all are requested."""
    return len(occurring) > MAX_CLASSES + 1


def confusion_table(confusion: np.ndarray, *, names: list[str], title: str, whole: bool = True) -> str:
    """Return the confusion matrix as a table. Rows are true classes, and cells are shares of their pixels. Columns may
    include classes that are predicted but never labelled. Each cell is a button.

    Args:
        whole: show all classes that occur; otherwise the `MAX_CLASSES` largest, with the others combined in a last row
            and column, whose cells are not buttons.
    """
    occurring = occurring_classes(confusion)
    shown = occurring if whole or not leaves_out(occurring) else occurring[:MAX_CLASSES]
    others = [k for k in occurring if k not in shown]
    pixels = confusion.sum(axis=1)
    heads = "".join(f'<th scope="col"><span>{escape(names[k])}</span></th>' for k in shown)
    heads += f'<th scope="col"><span>{OTHERS}</span></th>' if others else ""
    body = ""
    for truth in (k for k in shown if pixels[k] > 0):
        cells = ""
        for predicted in shown:
            share = confusion[truth, predicted] / pixels[truth]
            text = f"{share:.0%}" if share >= 0.005 else ""
            pair = escape(f"{names[truth]} predicted as {names[predicted]}")
            cells += (
                f'<td><button type="button" data-truth="{truth}" data-predicted="{predicted}" '
                f'title="{pair}: {share:.1%}" aria-label="{pair}: {text or "less than 0.5%"}" '
                f'style="--share:{share:.3f}">{text}</button></td>'
            )
        if others:
            cells += _share_cell(confusion[truth, others].sum() / pixels[truth])
        body += f'<tr><th scope="row">{escape(names[truth])}</th>{cells}</tr>'
    if pixels[others].sum() > 0:
        rest = confusion[others]
        shares = [rest[:, k].sum() / rest.sum() for k in shown]
        cells = "".join(_share_cell(share) for share in [*shares, rest[:, others].sum() / rest.sum()])
        body += f'<tr><th scope="row">{OTHERS}</th>{cells}</tr>'
    return f"""
<div class="ece-scroll"><table class="ece-gates ece-confusion">
  <caption>{title}: predicted classes (columns) of the pixels of each true class (rows)</caption>
  <thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody>
</table></div>{_others_note(len(shown), len(others)) if others else ""}"""


def _others_note(shown: int, others: int) -> str:
    return (
        f'<p class="ece-note">The {shown} classes with most pixels; the {others} others are combined as “{OTHERS}”.</p>'
    )


def _share_cell(share: float) -> str:
    """Return a cell for several classes, which has no list of images."""
    text = f"{share:.0%}" if share >= 0.005 else ""
    return f'<td><span class="ece-share" style="--share:{share:.3f}">{text}</span></td>'


def spread_table(spreads: list[ClassSpread], *, iou: np.ndarray, names: list[str], colors: list[list[int]]) -> str:
    """Return a table with a row for each class, lowest margin first. Low margins make confusions likely."""
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
<div class="ece-scroll" tabindex="0" role="region" aria-label="Class embeddings"><table class="ece-legend">
  <caption>Class embeddings, lowest margin first</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>
</table></div>
<p class="ece-note">Spread: mean cosine distance to the centroid of the class. Margin: median distance to the nearest
rival's centroid minus the distance to the own one. Astray: share of embeddings closer to another class.</p>"""
