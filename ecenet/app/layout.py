"""The layout of the page. Each tab, panel and endpoint is built by a module of its own."""

from pathlib import Path

import gradio as gr

from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.app.api.register import build as build_api
from ecenet.app.server.blocks import Page
from ecenet.app.sidebar import model_picker, photos, session_file, url
from ecenet.app.state.events import Subscription, follow
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import new_session
from ecenet.app.tabs import compare, pixel, segment, similarity
from ecenet.app.tabs.embeddings import tab as embeddings
from ecenet.app.tabs.evaluate import tab as evaluate
from ecenet.app.tabs.train import tab as train
from ecenet.app.tabs.what_if import tab as what_if
from ecenet.common.version import version_line

INTRODUCTION = """# ECENet Explorer
Upload a photo and see how [ECENet](https://arxiv.org/abs/2308.12894) segments it: a coarse mask is turned into one
**explicit embedding per class**, and masks and embeddings refine each other from stage to stage."""
FOOTER = "{version} · [paper](https://arxiv.org/abs/2308.12894) · press ? for keyboard shortcuts"


def build_app(registry: ModelRegistry, *, umap: UmapWorker, runs: Path | None) -> Page:
    """Build the page: model and photos on the left, tabs on the right.

    Args:
        runs: folder of the runs of the Train tab; None disables the tab.
    """
    with Page(
        private=runs is not None,
        max_bytes=registry.limits.bytes,
        title="ECENet Explorer",
        analytics_enabled=False,
        fill_width=True,
    ) as app:
        fresh = new_session(registry)
        session = gr.State(fresh)
        selection = gr.State(Selection())
        shown_tab = gr.State("segment")
        projected = gr.State(None)  # the Class embeddings' map
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                model_list = model_picker.build(session, selection, registry=registry)
                sidebar = [
                    photos.build(session, selection, registry=registry),
                    session_file.build(session, selection, projected, registry=registry, umap=umap),
                ]
            drawn: dict[str, list[Subscription]] = {}
            with gr.Column(scale=4, min_width=340), gr.Tabs(elem_id="tabs") as tabs:
                with gr.Tab("Segment", id="segment"):
                    drawn["segment"] = segment.build(session, selection, stage_names=fresh.stage_names)
                with gr.Tab("Similarity", id="similarity"):
                    drawn["similarity"] = similarity.build(session, selection, registry=registry)
                with gr.Tab("Pixel", id="pixel"):
                    drawn["pixel"] = pixel.build(
                        session, selection, registry=registry, stage_names=list(fresh.stage_names)
                    )
                with gr.Tab("Class embeddings", id="class-embeddings"):
                    drawn["class-embeddings"] = embeddings.build(
                        session, selection, projected, umap=umap, registry=registry, runs=runs
                    )
                with gr.Tab("What if", id="what-if"):
                    drawn["what-if"] = what_if.build(session, selection, registry=registry)
                with gr.Tab("Compare", id="compare"):
                    drawn["compare"] = compare.build(session, selection, registry=registry)
                with gr.Tab("Evaluate", id="evaluate"):
                    drawn["evaluate"] = evaluate.build(
                        session, selection, shown_tab, tabs=tabs, registry=registry, runs=runs
                    )
                with gr.Tab("Train", id="train") as train_tab:
                    if runs is None:
                        train.build_closed()
                    else:
                        training = train.build(session, selection, shown_tab, tabs=tabs, registry=registry, runs=runs)
        sidebar.append(url.build(session, selection, shown_tab, tabs=tabs, app=app, registry=registry))
        follow(selection, shown_tab, sidebar=sidebar, tabs=drawn)
        model_list.after(app.load)
        if runs is not None:
            for event in (app.load, train_tab.select):
                training.view.after(event)
            for event in (training.finished.change, training.opened):
                model_list.after(event)
        build_api(registry=registry)
        gr.Markdown(FOOTER.format(version=version_line()), elem_id="version", elem_classes="ece-note")
    return app
