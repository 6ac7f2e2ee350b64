"""ECENet Explorer: `python app.py`, then open http://127.0.0.1:7860. This file only lays out the page."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # What follows takes seconds to import; Ctrl-C then ends that without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import gradio as gr
import tyro
from PIL import Image

from ecenet.api.build import build as build_api
from ecenet.errors import UserError
from ecenet.explore.umap_worker import UmapWorker
from ecenet.journal import LogFormat, LogLevel, note, write_journal
from ecenet.limits import Limits
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
from ecenet.ui.health import Health
from ecenet.ui.ending import ends_when_asked, own_files
from ecenet.ui.selection import Selection
from ecenet.ui.serve import QUEUE, Page, check_mcp, serve
from ecenet.ui.session import new_session
from ecenet.ui.shelf import ModelShelf
from ecenet.ui.view import View, follow
from ecenet.version import commit, version_line

_logger = logging.getLogger("ecenet.app")
INTRODUCTION = """# ECENet Explorer
Upload a photo and watch a segmentation network make up its mind. [ECENet](https://arxiv.org/abs/2308.12894) draws a
coarse mask, turns each class's region into an **explicit class embedding**, and lets embeddings and masks refine each
other from the deepest stage to the finest."""
FOOTER = '<p class="ece-note">{version} · <a href="https://arxiv.org/abs/2308.12894">the paper</a></p>'
SESSION_SECONDS = 3600
FILES_KEPT = (3600, 24 * 3600)
"""Seconds: every hour uploads and results that are older than a day are deleted."""


def build_app(shelf: ModelShelf, *, umap: UmapWorker, runs: Path | None) -> gr.Blocks:
    """The page: model and photos on the left, one tab a question on the right.

    Args:
        runs: folder of the runs that the Train tab starts and shows; None switches the tab off.
    """
    with Page(title="ECENet Explorer", analytics_enabled=False, fill_width=True, delete_cache=FILES_KEPT) as app:
        fresh = new_session(shelf)
        session = gr.State(fresh, time_to_live=SESSION_SECONDS)
        selection = gr.State(Selection(), time_to_live=SESSION_SECONDS)
        shown_tab = gr.State("segment")
        projected = gr.State(None)  # the Class embeddings' map
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                model_list = models.build(session, selection, shelf=shelf)
                beside = [
                    photos.build(session, selection, shelf=shelf),
                    bundle.build(session, selection, projected, shelf=shelf, umap=umap),
                ]
            drawn: dict[str, list[View]] = {}
            with gr.Column(scale=4, min_width=340), gr.Tabs() as tabs:
                with gr.Tab("Segment", id="segment"):
                    drawn["segment"] = segment.build(session, selection, stage_names=fresh.stage_names)
                with gr.Tab("Similarity", id="similarity"):
                    drawn["similarity"] = similarity.build(session, selection, shelf=shelf)
                with gr.Tab("Pixel", id="pixel"):
                    drawn["pixel"] = pixel.build(session, selection)
                with gr.Tab("Class embeddings", id="class-embeddings"):
                    drawn["class-embeddings"] = embeddings.build(session, selection, projected, umap=umap, shelf=shelf)
                with gr.Tab("What if", id="what-if"):
                    drawn["what-if"] = what_if.build(session, selection, shelf=shelf)
                with gr.Tab("Compare", id="compare"):
                    drawn["compare"] = compare.build(session, selection, shelf=shelf)
                with gr.Tab("Evaluate", id="evaluate"):
                    local = runs is not None
                    drawn["evaluate"] = [dataset.build(session, selection, tabs=tabs, shelf=shelf, local_files=local)]
                with gr.Tab("Train", id="train") as train_tab:
                    if runs is None:
                        train.build_closed()
                    else:
                        training = train.build(runs=runs)
        beside.append(link.build(session, selection, shown_tab, tabs=tabs, app=app, shelf=shelf))
        follow(selection, shown_tab, beside=beside, tabs=drawn)
        model_list.after(app.load)
        if runs is not None:
            for event in (app.load, train_tab.select):
                training.view.after(event)
            model_list.after(training.finished.change)
        build_api(shelf=shelf)
        gr.HTML(FOOTER.format(version=version_line()), elem_id="version")
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
    share: bool = False
    """Also at a public address of Gradio's, for a week. It takes the internet; without it the app says so and is served
    at its own address alone."""
    host: str | None = None
    """Address to listen at; 127.0.0.1 by default, or what a Space sets."""
    port: int | None = None
    """7860 by default, or the next free one."""
    mcp: bool = False
    """Offer the API to MCP clients, too."""
    max_megabytes: int = Limits.megabytes
    """Of one uploaded file."""
    max_megapixels: float = Limits.megapixels
    """Of one image; of WebP and AVIF, which take more memory, 0.6 of it."""
    max_photos: int = Limits.photos
    """Of one visitor's session."""
    queue: int = QUEUE
    """How many events may wait; more are refused."""
    log_level: LogLevel = "info"
    """What is logged on standard error; debug adds messages of errors, which may quote names of visitors' files."""
    log_format: LogFormat = "auto"
    """One JSON object a line, or text; by default text on a terminal, else JSON."""


def is_shared(options: Options, environment: Mapping[str, str]) -> bool:
    """Whether Gradio's share link is asked for."""
    return options.share or environment.get("GRADIO_SHARE", "").lower() == "true"


def is_public(options: Options, environment: Mapping[str, str]) -> bool:
    """Whether strangers may reach the app: asked for, on a Space, or through a share link."""
    return options.public or "SPACE_ID" in environment or is_shared(options, environment)


def main(options: Options) -> None:
    try:
        limits = Limits(options.max_megabytes, options.max_megapixels, options.max_photos)
        shelf = ModelShelf(options.weights, runs=options.runs, limits=limits)
        if options.mcp:
            check_mcp()
        if options.queue < 1:
            raise UserError(f"Expected --queue to be at least 1, got {options.queue}; let somebody wait.")
        write_journal(options.log_level, options.log_format)
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
    umap = UmapWorker()
    app = build_app(shelf, umap=umap, runs=None if public else options.runs)
    health = Health(predictor, umap=umap)
    note(
        _logger,
        "start",
        **health.about(),
        commit=commit(),
        public=public,
        mcp=options.mcp,
        limits={"queue": options.queue, **asdict(limits)},
    )
    serve(
        app,
        health=health,
        host=host,
        port=options.port,
        max_bytes=limits.bytes,
        share=is_shared(options, os.environ),
        mcp=options.mcp,
        queue=options.queue,
    )


if __name__ == "__main__":
    options = tyro.cli(Options)
    with ends_when_asked():
        main(options)
