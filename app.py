"""ECENet Explorer: `python app.py`, then open http://127.0.0.1:7860. This file only lays out the page."""

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import tyro
from PIL import Image

from ecenet.api.build import build as build_api
from ecenet.errors import UserError
from ecenet.explore.umap_worker import UmapWorker
from ecenet.runs import RUNS_DIR
from ecenet.ui import (
    bundle,
    compare,
    dataset,
    embeddings,
    link,
    models,
    photos,
    pixel,
    segment,
    similarity,
    train,
    what_if,
)
from ecenet.ui.queue import WAITING
from ecenet.ui.selection import Selection
from ecenet.ui.serve import Page, check_mcp, serve
from ecenet.ui.session import new_session
from ecenet.ui.sessions import Limits
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.view import HIDDEN

INTRODUCTION = """# ECENet Explorer
Upload a photo and watch a segmentation network make up its mind. [ECENet](https://arxiv.org/abs/2308.12894) draws a
coarse mask, turns each class's region into an **explicit class embedding**, and lets embeddings and masks refine each
other from the deepest stage to the finest."""


def build_app(shelf: ModelShelf, *, umap: UmapWorker, runs: Path | None) -> gr.Blocks:
    """The page: model and photos on the left, one tab a question on the right.

    Args:
        runs: folder of the runs that the Train tab starts and shows; None switches the tab off.
    """
    with Page(title="ECENet Explorer", analytics_enabled=False, fill_width=True) as app:
        fresh = new_session(shelf)
        session = gr.State(fresh)
        selection = gr.State(Selection())
        followed = {
            "selection": selection,
            "stage": gr.State(Selection().shown_stage()),
            "photo": gr.State(Selection().shown()),
        }
        projected = gr.State(None)  # the Class embeddings' map
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                model_list = models.build(session, selection, shelf=shelf)
                views = [
                    photos.build(session, selection, shelf=shelf),
                    bundle.build(session, selection, projected, shelf=shelf),
                ]
            with gr.Column(scale=4, min_width=340), gr.Tabs() as tabs:
                with gr.Tab("Segment", id="segment"):
                    views += segment.build(session, selection, stage_names=fresh.stage_names)
                with gr.Tab("Similarity", id="similarity"):
                    views += similarity.build(session, selection, shelf=shelf)
                with gr.Tab("Pixel", id="pixel"):
                    views += pixel.build(session, selection)
                with gr.Tab("Class embeddings", id="class-embeddings"):
                    views += embeddings.build(session, selection, projected, umap=umap, shelf=shelf)
                with gr.Tab("What if", id="what-if"):
                    views += what_if.build(session, selection, shelf=shelf)
                with gr.Tab("Compare", id="compare"):
                    views += compare.build(session, selection, shelf=shelf)
                with gr.Tab("Evaluate", id="evaluate"):
                    evaluation = dataset.build(session, selection, tabs=tabs, shelf=shelf, local_files=runs is not None)
                    views.append(evaluation)
                with gr.Tab("Train", id="train") as train_tab:
                    if runs is None:
                        train.build_closed()
                    else:
                        training = train.build(runs=runs)
        views.append(link.build(session, selection, tabs=tabs, app=app, shelf=shelf))
        selection.change(Selection.shown, selection, followed["photo"], **HIDDEN)
        selection.change(Selection.shown_stage, selection, followed["stage"], **HIDDEN)
        for view in views:
            view.after(followed[view.follows].change, show_progress="minimal")
        for view in (model_list, evaluation):
            view.after(app.load)
        if runs is not None:
            for event in (app.load, train_tab.select):
                training.view.after(event)
            model_list.after(training.finished.change)
        build_api(shelf=shelf)
    return app


@dataclass(frozen=True)
class Options:
    """Serve the explorer."""

    weights: str = "voc13"
    """What is chosen first: name of shipped weights, a folder, or a Hub id."""
    runs: Path = RUNS_DIR
    """Folder of training runs: the Train tab puts them there, the model list offers the finished ones."""
    public: bool = False
    """Strangers can reach this: no training. A Space and a share link are public anyway."""
    host: str | None = None
    """Address to listen at; 127.0.0.1 by default, or what a Space sets."""
    port: int | None = None
    """7860 by default, or the next free one."""
    mcp: bool = False
    """Offer the API to MCP clients, too."""
    session_minutes: float = 60
    """Visitors' photos are forgotten when nobody has used them for so long."""
    memory_gb: float = 2
    """What all visitors' photos together may hold of memory; the rest waits on disk."""
    waiting: int = WAITING
    """Events that may wait for the model; who comes later is asked to try again."""


def is_public(options: Options, environment: Mapping[str, str]) -> bool:
    """Whether strangers may reach the app: asked for, on a Space, or through Gradio's share link."""
    return options.public or "SPACE_ID" in environment or environment.get("GRADIO_SHARE", "").lower() == "true"


def main(options: Options) -> None:
    shelf = ModelShelf(options.weights, runs=options.runs)
    try:
        if options.mcp:
            check_mcp()
        predictor = shelf.open(shelf.initial)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    # The first pass sets up kernels: better now than while somebody waits.
    predictor.predict(Image.new("RGB", (480, 360)))
    public = is_public(options, os.environ)
    host = options.host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    if not public and host not in ("127.0.0.1", "localhost", "::1"):
        print(f"Whoever reaches {host} can train here and read this machine's folders; --public switches that off.")
    # Asked to end, it leaves nothing of a visitor's on disk.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    limits = Limits(seconds=60 * options.session_minutes, memory=int(options.memory_gb * 2**30))
    with tempfile.TemporaryDirectory(prefix="ecenet-files-", ignore_cleanup_errors=True) as files:
        os.environ.setdefault("GRADIO_TEMP_DIR", files)  # our own: what is old there is deleted
        app = build_app(shelf, umap=UmapWorker(), runs=None if public else options.runs)
        serve(app, host=options.host, port=options.port, mcp=options.mcp, limits=limits, waiting=options.waiting)


if __name__ == "__main__":
    main(tyro.cli(Options))
