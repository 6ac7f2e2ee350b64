"""ECENet Explorer: `python app.py`, then open http://127.0.0.1:7860. This file only lays out the page."""

import sys
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import tyro
from PIL import Image

from ecenet.errors import UserError
from ecenet.explore.umap_worker import UmapWorker
from ecenet.predictor import Predictor
from ecenet.ui import embeddings, photos, segment, similarity
from ecenet.ui.session import Session

INTRODUCTION = """# ECENet Explorer
Upload a photo and watch a segmentation network make up its mind. [ECENet](https://arxiv.org/abs/2308.12894) draws a
coarse mask, turns each class's region into an **explicit class embedding**, and lets embeddings and masks refine each
other from the deepest stage to the finest."""
SESSION_SECONDS = 3600


def build_app(predictor: Predictor, *, umap: UmapWorker) -> gr.Blocks:
    """The page: photos on the left, one tab a question on the right."""
    with gr.Blocks(title="ECENet Explorer", analytics_enabled=False, fill_width=True) as app:
        session = gr.State(Session(), time_to_live=SESSION_SECONDS)
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                events = photos.build(session, predictor=predictor)
            with gr.Column(scale=4, min_width=340), gr.Tabs():
                with gr.Tab("Segment"):
                    views = [segment.build(session, stage_names=predictor.model.stage_names)]
                with gr.Tab("Similarity"):
                    views.append(similarity.build(session))
                with gr.Tab("Class embeddings"):
                    views.append(embeddings.build(session, umap=umap))
        for event in events:
            for view in views:
                event.success(*view, show_progress="minimal", api_visibility="private")
    return app


@dataclass(frozen=True)
class Options:
    """Serve the explorer."""

    weights: str = "voc13"
    """Name of shipped weights, a folder, or a Hub id."""
    host: str | None = None
    """Address to listen at; 127.0.0.1 by default, or what a Space sets."""
    port: int | None = None
    """7860 by default, or the next free one."""


def main(options: Options) -> None:
    try:
        predictor = Predictor.from_weights(options.weights)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    # The first pass sets up kernels: better now than while somebody waits.
    predictor.predict(Image.new("RGB", (480, 360)))
    app = build_app(predictor, umap=UmapWorker())
    app.queue(max_size=32).launch(
        server_name=options.host,
        server_port=options.port,
        theme=gr.themes.Soft(primary_hue="teal", font=["ui-sans-serif", "system-ui", "sans-serif"]),
        css_paths=Path(__file__).parent / "assets" / "app.css",
        max_file_size="32mb",
        footer_links=["settings"],
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
