"""The Evaluate tab: confusions and embeddings of a whole data split, read from a bank."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import plotly.graph_objects as go

from ecenet.analysis.diagnostics.bank_statistics import (
    cell_images,
    class_spreads,
    stage_confusion,
    worst_images,
)
from ecenet.analysis.plots.quality import quality_curves
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import EACH, LATEST, MODEL_EACH, Subscription, event_data
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.run_bank import lacks_bank
from ecenet.app.state.select_events import required_file
from ecenet.app.state.selection import MIN_AREA, Selection
from ecenet.app.state.session import Session
from ecenet.app.tabs import own_bank
from ecenet.app.tabs.evaluate.images import Listing, image_cards, image_names, open_data, open_image
from ecenet.app.tabs.evaluate.source import source_of
from ecenet.app.tabs.evaluate.tables import (
    NO_BANK,
    NO_RUN_BANK,
    about_bank,
    confusion_table,
    leaves_out,
    occurring_classes,
    spread_table,
)
from ecenet.app.widgets.data_fields import data_fields
from ecenet.app.widgets.markup import empty_state, on_click
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.evaluation.bank import EmbeddingBank, bank_quality
from ecenet.evaluation.bank_parquet import read_bank
from ecenet.evaluation.metrics import intersection_over_union
from ecenet.inference.prediction import stage_title

LISTED = 8
CLICK = on_click(
    "[data-truth]",
    "cell",
    "{truth: Number(picked.dataset.truth), predicted: Number(picked.dataset.predicted)}",
)
CLICK_IMAGE = on_click("[data-image]", "card", "{index: Number(picked.dataset.image)}")


def build(
    session: gr.State,
    selection: gr.State,
    shown_tab: gr.State,
    *,
    tabs: gr.Tabs,
    registry: ModelRegistry,
    runs: Path | None,
) -> list[Subscription]:
    """Lay out the tab.

    Args:
        shown_tab: holds the id of the tab that is shown.
        tabs: the page's tabs; a click on an image opens the first.
        runs: folder of the runs whose banks can be made here; None in a public app, which does not accept a data
            folder either.
    """
    local_files = runs is not None
    opened, listing = gr.State(None), gr.State(None)
    gr.Markdown(
        "Results over a whole data split: the confusion matrix, and how well the embeddings of each class are "
        "separated from those of the nearest other class. Click a cell to list its images."
    )
    with gr.Row():
        with gr.Column(scale=3, min_width=260):
            about = gr.HTML(elem_id="bank-about")
        upload = gr.UploadButton(
            "Open a bank (.parquet)",
            file_types=[".parquet"],
            type="filepath",
            size="sm",
            scale=0,
            min_width=180,
            elem_id="open-bank",
        )
    bank_button = own_bank.build(session, selection, registry=registry, runs=runs, elem_id="make-bank")
    with gr.Row(visible=local_files):
        folder, layout = data_fields("Folder of the data, to show the images", elem_id="bank")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            matrix = gr.HTML(js_on_load=CLICK, elem_id="confusion")
            whole = gr.Checkbox(
                label="All classes", visible=False, container=False, elem_id="confusion-whole", interactive=True
            )
        with gr.Column(scale=1, min_width=240):
            images = gr.HTML(js_on_load=CLICK_IMAGE, elem_id="cell-images")
    quality = gr.Plot(show_label=False, visible=False, elem_id="embedding-quality")
    spreads = gr.HTML(elem_id="class-spreads")

    @show_errors
    def draw_images(
        session: Session,
        opened: EmbeddingBank | None,
        listing: Listing | None,
        folder: str,
        layout: Layout,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:
        source = source_of(session, opened, registry=registry)
        if source is None or listing is None:
            return ""
        data = open_data(source.bank, folder, layout) if local_files else None
        if data is None:
            return image_names(listing, bank=source.bank)
        track = partial(progress.tqdm, desc="Segmenting the images", unit="images")
        predictor = registry.open(session.model)
        return image_cards(listing, bank=source.bank, data=data, predictor=predictor, track=track)

    drawn = Subscription(draw_images, [session, opened, listing, folder, layout], [images], runs_model=local_files)
    where = [session, selection, opened]

    def draw(session: Session, selection: Selection, opened: EmbeddingBank | None, whole: bool) -> tuple[Any, ...]:
        return (
            *render(session, selection, opened, registry=registry, whole=whole, can_make=local_files),
            render_quality(session, opened, registry=registry),
            render_whole(session, selection, opened, registry=registry),
        )

    shown = [about, matrix, listing, spreads, quality, whole]
    view = Subscription(draw, [*where, whole], shown, "stage", then=drawn, also_after=[opened.change])
    draw_matrix = show_errors(partial(render_matrix, registry=registry))
    whole.input(draw_matrix, [*where, whole], matrix, **LATEST)
    drawn.after(folder.submit, show_progress="minimal")
    drawn.after(layout.input, show_progress="minimal")

    @show_errors
    def open_file(session: Session, path: str | None) -> EmbeddingBank:
        return read_bank(Path(required_file(path)), weights=registry.open(session.model).weights_hash)

    upload.upload(open_file, [session, upload], opened, trigger_mode="always_last", api_visibility="private")

    @show_errors
    def open_cell(session: Session, selection: Selection, opened: EmbeddingBank | None, event: gr.EventData) -> Listing:
        return cell_listing(session, selection, opened, event_data(event), registry=registry)

    drawn.after(matrix.cell(open_cell, where, listing, **EACH).success, show_progress="minimal")

    @show_errors
    def select_image(
        session: Session,
        selection: Selection,
        opened: EmbeddingBank | None,
        listing: Listing | None,
        folder: str,
        layout: Layout,
        event: gr.EventData,
    ) -> tuple[Session, Selection, gr.Tabs, str]:
        source = source_of(session, opened, registry=registry)
        data = open_data(source.bank, folder, layout) if source is not None and local_files else None
        if source is None or listing is None or data is None:
            raise UserError("missing-value", "Expected the folder of the images, got none; enter it above the matrix.")
        added, looked_at = open_image(
            session,
            selection,
            event_data(event).get("index"),
            listing=listing,
            bank=source.bank,
            data=data,
            predictor=registry.open(session.model),
        )
        return added, looked_at, gr.Tabs(selected="segment"), "segment"

    images.card(select_image, [*where, listing, folder, layout], [session, selection, tabs, shown_tab], **MODEL_EACH)
    return [view, *([bank_button] if bank_button else [])]


def render(
    session: Session,
    selection: Selection,
    opened: EmbeddingBank | None,
    *,
    registry: ModelRegistry,
    whole: bool = False,
    can_make: bool = False,
) -> tuple[str, str, Listing | None, str]:
    """Return a description of the bank, the confusion matrix, the worst images and the table of embeddings, all at the
    selected stage.

    Args:
        whole: show all classes in the matrix.
        can_make: whether the page has a button that makes the bank of a run.
    """
    source = source_of(session, opened, registry=registry)
    if source is None:
        return empty_state(NO_RUN_BANK if can_make and lacks_bank(registry, session.model) else NO_BANK), "", None, ""
    bank, stage = source.bank, session.embedding_stage(selection)
    names, colors = bank.about["class_names"], bank.about["class_colors"]
    confusion = stage_confusion(bank, stage)
    worst = tuple((image, f"{score:.0%}") for image, score in worst_images(bank, stage, count=LISTED))
    return (
        about_bank(bank, stage=stage),
        confusion_table(confusion, names=names, title=stage_title(stage), whole=whole),
        Listing("Worst images, by mean IoU of their classes", stage, worst),
        spread_table(
            class_spreads(bank, stage, min_area=MIN_AREA),
            iou=intersection_over_union(confusion),
            names=names,
            colors=colors,
        ),
    )


def render_matrix(
    session: Session, selection: Selection, opened: EmbeddingBank | None, whole: bool, *, registry: ModelRegistry
) -> str:
    """Return the confusion matrix at the selected stage, or "" without a bank."""
    source = source_of(session, opened, registry=registry)
    if source is None:
        return ""
    stage = session.embedding_stage(selection)
    return confusion_table(
        stage_confusion(source.bank, stage),
        names=source.bank.about["class_names"],
        title=stage_title(stage),
        whole=whole,
    )


def render_whole(
    session: Session, selection: Selection, opened: EmbeddingBank | None, *, registry: ModelRegistry
) -> gr.Checkbox:
    """Return the checkbox for all classes, visible if the matrix would leave some out."""
    source = source_of(session, opened, registry=registry)
    if source is None:
        return gr.Checkbox(visible=False)
    occurring = occurring_classes(stage_confusion(source.bank, session.embedding_stage(selection)))
    return gr.Checkbox(label=f"All {len(occurring)} classes", visible=leaves_out(occurring))


def render_quality(session: Session, opened: EmbeddingBank | None, *, registry: ModelRegistry) -> gr.Plot:
    """Plot how well the bank's embeddings separate the classes at each stage; invisible without a bank."""
    source = source_of(session, opened, registry=registry)
    return gr.Plot(visible=False) if source is None else gr.Plot(quality_figure(source.bank), visible=True)


@lru_cache(maxsize=4)
def quality_figure(bank: EmbeddingBank) -> go.Figure:
    """Plot the embedding quality of a bank; cached, since a large bank takes seconds."""
    quality = bank_quality(bank)
    return quality_curves(
        stages=[stage_title(name) for name in quality],
        purity=np.array([one.purity for one in quality.values()]),
        silhouette=np.array([one.silhouette for one in quality.values()]),
        linear=np.array([one.linear for one in quality.values()]),
        rows=np.array([one.rows for one in quality.values()]),
    )


def cell_listing(
    session: Session,
    selection: Selection,
    opened: EmbeddingBank | None,
    clicked: dict[str, Any],
    *,
    registry: ModelRegistry,
) -> Listing:
    """List the images behind a cell of the matrix, those with most pixels first.

    Args:
        clicked: `truth` and `predicted`, class indices as sent by the browser.
    Raises:
        UserError: the indices are invalid, or there is no bank.
    """
    source = source_of(session, opened, registry=registry)
    if source is None:
        raise UserError("not-there-yet", "Expected a bank, but none is open; open one first.")
    bank, stage = source.bank, session.embedding_stage(selection)
    names = bank.about["class_names"]
    pair = clicked.get("truth"), clicked.get("predicted")
    for k in pair:
        if not (type(k) is int and 0 <= k < len(names)):
            raise UserError(
                "unknown-choice",
                f"Expected a class, 0 … {len(names) - 1}, got {str(k)[:60]}; click a cell of the matrix.",
            )
    truth, predicted = int(str(pair[0])), int(str(pair[1]))
    found = cell_images(bank, stage, truth=truth, predicted=predicted, count=LISTED)
    title = (
        f"{names[truth]} predicted as {names[predicted]}, pixels" if truth != predicted else f"{names[truth]}, pixels"
    )
    return Listing(title, stage, tuple((image, f"{count:,}") for image, count in found), (truth, predicted))
