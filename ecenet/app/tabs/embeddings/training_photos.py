"""Training photos related to a class of the selected photo: nearest reference embeddings, and clusters of the class in
the bank."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np

from ecenet.analysis.embeddings.reference import SubClusters, class_rows, nearest_reference, sub_clusters
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import EACH, MODEL_QUEUE, Subscription
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank
from ecenet.app.state.run_bank import RUN
from ecenet.app.state.select_events import choose_class
from ecenet.app.state.selection import MIN_AREA, Selection, shown_class
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.evaluate.images import open_data
from ecenet.app.widgets.class_lists import CLASS_HELP, class_choices
from ecenet.app.widgets.data_fields import data_fields
from ecenet.app.widgets.markup import color_swatch, empty_state, escape
from ecenet.app.widgets.pictures import figure, marked_photo
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.bank import EmbeddingBank, bank_image
from ecenet.inference.prediction import stage_title
from ecenet.inference.predictor import Predictor
from ecenet.training.jobs.bank import run_data

NEIGHBORS = 8
MAX_CLUSTERS = 8
PICTURE_SIDE = 200
"""Longest side of pictures in pixels."""
HELP = (
    "The embeddings of training photos (of any class) that are nearest to this photo's, and groups of the class's own "
    "embeddings (k-means; the medoid is the most central embedding of a group). Near photos did not necessarily cause "
    "this prediction."
)


class Found(NamedTuple):
    """Related embeddings of a class of the selected photo."""

    photo: Photo
    bank: EmbeddingBank
    stage: str
    class_index: int
    rows: np.ndarray
    """(N,) rows of the bank, nearest first."""
    distances: np.ndarray
    """(N,) cosine distances."""
    kinds: SubClusters | None
    """Clusters of the class; None if the bank does not have the class."""

    @property
    def own_kind(self) -> int | None:
        """The cluster that is nearest to the photo's embedding."""
        return None if self.kinds is None else self.kinds.nearest(self.vector)

    @property
    def vector(self) -> np.ndarray:
        """The photo's (D,) embedding."""
        vector: np.ndarray = self.photo.prediction.stages[self.stage].embeddings[self.class_index]
        return vector


def build(session: gr.State, selection: gr.State, *, registry: ModelRegistry, runs: Path | None) -> Subscription:
    """Lay out the section.

    Args:
        runs: folder of the runs, whose data can be used. None if the app is public; then visitors cannot name folders
            of this machine either.
    """
    gr.Markdown(f"## Similar training photos\n{HELP}")
    with gr.Row():
        chosen = gr.Dropdown(
            [], label=f"Class ({CLASS_HELP})", elem_id="reference-class", interactive=True, min_width=200
        )
        count = gr.Slider(
            1, MAX_CLUSTERS, value=3, step=1, label="Groups", buttons=[], elem_id="reference-clusters", min_width=200
        )
    tables = gr.HTML(elem_id="reference-neighbors")
    with gr.Row(visible=runs is not None):
        folder, layout = data_fields("Folder of the training data (to show the photos)", elem_id="reference")
        show = gr.Button("Show photos", size="sm", scale=0, min_width=160, elem_id="reference-show")
    pictures = gr.HTML(elem_id="reference-photos")

    @show_errors
    def draw_pictures(
        session: Session,
        selection: Selection,
        count: int,
        folder: str,
        layout: Layout,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:
        found = find(session, selection, count, registry=registry)
        data = None if runs is None or found is None else training_data(session, found, folder, layout, runs=runs)
        if found is None or data is None:
            raise UserError(
                "missing-value",
                "Expected the folder of the data that the bank was made from, got none; enter it next to the button.",
            )
        track = partial(progress.tqdm, desc="Segmenting the photos", unit="photos")
        return render_pictures(found, data=data, predictor=registry.open(session.model), track=track)

    both = [session, selection]
    chosen.input(choose_class, [selection, chosen], selection, **EACH)
    show.click(draw_pictures, [*both, count, folder, layout], pictures, **MODEL_QUEUE)
    return Subscription(
        show_errors(partial(render, registry=registry)),
        [*both, count],
        [chosen, tables, pictures],
        also_after=[count.change],
    )


def training_data(session: Session, found: Found, folder: str, layout: Layout, *, runs: Path) -> LabelledSplit | None:
    """Return the photos of the bank, from the given folder or else from the run of the selected weights; None if there
    is neither.

    Raises:
        UserError: the data cannot be read.
    """
    named = open_data(found.bank, folder, layout)
    if named is None and session.model.startswith(RUN):
        return run_data(session.model.removeprefix(RUN), root=runs).train
    return named


def render(
    session: Session, selection: Selection, count: int, *, registry: ModelRegistry
) -> tuple[gr.Dropdown, str, str]:
    """Return the classes and tables, and clear the pictures, which belong to the previous class."""
    photo = session.photo(selection)
    if photo is None:
        return gr.Dropdown([], value=None), "", ""
    name = shown_class(photo.prediction, selection.class_name)
    choices = gr.Dropdown(class_choices(photo.prediction), value=name)
    found = find(session, selection, count, registry=registry)
    if found is None:
        return choices, empty_state("These weights have no bank of training photos."), ""
    return choices, render_tables(found), ""


def find(session: Session, selection: Selection, count: int, *, registry: ModelRegistry) -> Found | None:
    """Find related embeddings for the selected photo, stage and class; None without a photo or bank.

    Args:
        count: number of groups; fewer if the class has fewer embeddings.
    """
    photo, bank = session.photo(selection), find_bank(registry, session.model)
    if photo is None or bank is None:
        return None
    prediction, stage = photo.prediction, session.embedding_stage(selection)
    k = prediction.class_names.index(shown_class(prediction, selection.class_name))
    vector = prediction.stages[stage].embeddings[k]
    rows, distances = nearest_reference(bank, vector, stage=stage, count=NEIGHBORS, min_area=MIN_AREA)
    members = len(class_rows(bank, k, stage=stage, min_area=MIN_AREA))
    kinds = None
    if members:
        kinds = sub_clusters(bank, k, stage=stage, count=min(max(count, 1), members), min_area=MIN_AREA)
    return Found(photo, bank, stage, k, rows, distances, kinds)


def render_tables(found: Found) -> str:
    """Return the tables of nearest embeddings and groups."""
    bank, prediction = found.bank, found.photo.prediction
    name, title = escape(prediction.class_names[found.class_index]), stage_title(found.stage)
    body = "".join(
        f"<tr><td>{escape(bank.images[bank.image[row]])}</td><td>{_class(found, int(row))}</td>"
        f"<td>{distance:.3f}</td><td>{bank.area[row]:.0%}</td></tr>"
        for row, distance in zip(found.rows, found.distances, strict=True)
    )
    missing = "" if prediction.stages[found.stage].area[found.class_index] > 0 else " (not in its mask)"
    nearest = f"""
<table class="ece-legend">
  <caption>{title}: nearest to {name} of {escape(found.photo.name)}{missing}</caption>
  <thead><tr><th>Training photo</th><th>Class</th><th>Distance</th><th>Area</th></tr></thead>
  <tbody>{body}</tbody>
</table>"""
    return f'<div class="ece-pair"><div>{nearest}</div><div>{_kinds(found, name=name)}</div></div>'


def _class(found: Found, row: int) -> str:
    k = int(found.bank.class_index[row])
    return color_swatch(found.photo.prediction.class_colors[k]) + escape(found.photo.prediction.class_names[k])


def _kinds(found: Found, *, name: str) -> str:
    """Return the groups as a table.

    Args:
        name: name of the class as HTML.
    """
    if found.kinds is None:
        return empty_state(
            f"No training photo in the bank contains {found.photo.prediction.class_names[found.class_index]}."
        )
    bank, kinds, own = found.bank, found.kinds, found.own_kind
    body = "".join(
        f"<tr><td>{number + 1}{' <small>(this photo)</small>' if number == own else ''}</td><td>{len(one.rows)}</td>"
        f"<td>{one.spread:.3f}</td><td>{escape(bank.images[bank.image[one.medoid]])}</td></tr>"
        for number, one in enumerate(kinds.clusters)
    )
    apart = (
        ""
        if kinds.silhouette is None
        else f"Silhouette {kinds.silhouette:.2f}: near 1 the groups are separate, near 0 they overlap. "
    )
    return f"""
<table class="ece-legend">
  <caption>{name} of the training photos in groups</caption>
  <thead><tr><th>Group</th><th>Embeddings</th><th>Spread</th><th>Medoid</th></tr></thead>
  <tbody>{body}</tbody>
</table>
<p class="ece-note">{apart}Spread: mean cosine distance to the group's centroid.</p>"""


def render_pictures(
    found: Found,
    *,
    data: LabelledSplit,
    predictor: Predictor,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> str:
    """Return the regions of the embeddings in their photos: the nearest, then the medoids.

    Args:
        track: wraps the iteration over photos, to show progress.
    Raises:
        UserError: the bank was made from other data, or a file cannot be read.
    """
    medoids = [] if found.kinds is None else [one.medoid for one in found.kinds.clusters]
    rows = [int(row) for row in found.rows]
    sources = {
        row: _picture(found, row, data=data, predictor=predictor) for row in track(list(dict.fromkeys(rows + medoids)))
    }

    def card(row: int, first: str, second: str = "") -> str:
        name = escape(found.bank.images[found.bank.image[row]])
        return figure(sources[row], alt="", caption=f"{first}<br>{name}{second}")

    nearest = "".join(
        card(row, _class(found, row), f", {distance:.3f}") for row, distance in zip(rows, found.distances, strict=True)
    )
    groups = "".join(card(row, f"Group {number + 1}") for number, row in enumerate(medoids))
    return f"""
<p class="ece-note">Nearest, by cosine distance</p><div class="ece-gallery">{nearest}</div>
<p class="ece-note">Medoids of the groups</p><div class="ece-gallery">{groups}</div>"""


def _picture(found: Found, row: int, *, data: LabelledSplit, predictor: Predictor) -> str:
    photo, _ = bank_image(found.bank, data, int(found.bank.image[row]), max_pixels=predictor.max_pixels)
    labels = predictor.predict(photo).stages[found.stage].label_map
    return marked_photo(photo, labels == found.bank.class_index[row], max_side=PICTURE_SIDE)
