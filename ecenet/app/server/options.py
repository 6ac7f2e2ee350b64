"""What whoever starts the app may choose, and how it starts."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.app.server.blocks import Page
from ecenet.app.server.event_queue import QUEUE
from ecenet.app.server.health import Health
from ecenet.app.server.serve import check_mcp, serve
from ecenet.app.server.session_store import Retention
from ecenet.app.server.shutdown import own_files
from ecenet.app.state.limits import Limits
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.common.errors import UserError
from ecenet.common.logs import LogFormat, LogLevel, configure_logging, log_event
from ecenet.common.version import commit
from ecenet.training.run_folder import RUNS_DIR

_logger = logging.getLogger(__name__)


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
    max_pixels: int = Limits.pixels
    """Of one image; of WebP and AVIF, which take more memory, 0.6 of it."""
    max_photos: int = Limits.photos
    """Of one visitor's session."""
    queue: int = QUEUE
    """Events that may wait for the model; who comes later is asked to try again."""
    session_minutes: float = Retention.seconds / 60
    """Visitors' photos are forgotten when nobody has used them for so long."""
    memory_gb: float = Retention.memory / 2**30
    """What all visitors' photos together may hold of memory; the rest waits on disk."""
    log_level: LogLevel = "info"
    """What is logged on standard error; debug adds messages of errors, which may quote names of visitors' files."""
    log_format: LogFormat = "auto"
    """One JSON object a line, or text; by default text on a terminal, else JSON."""

    def check(self) -> None:
        """Raises:
        UserError: nobody could be served so.
        """
        for name, value, least in (
            ("queue", self.queue, 1),
            ("session-minutes", self.session_minutes, 1),
            ("memory-gb", self.memory_gb, 0.1),
        ):
            if not value >= least:
                raise UserError("out-of-range", f"Expected --{name} to be at least {least}, got {value}; correct it.")
        if self.mcp:
            check_mcp()


def is_shared(options: Options, environment: Mapping[str, str]) -> bool:
    """Whether Gradio's share link is asked for."""
    return options.share or environment.get("GRADIO_SHARE", "").lower() == "true"


def is_public(options: Options, environment: Mapping[str, str]) -> bool:
    """Whether strangers may reach the app: asked for, on a Space, or through a share link."""
    return options.public or "SPACE_ID" in environment or is_shared(options, environment)


def start(options: Options, build: Callable[..., Page]) -> None:
    """Serve the page until somebody ends the app; with code 2 where the options cannot be used.

    Args:
        build: lays out the page, as `app.build_app` does.
    """
    try:
        options.check()
        limits = Limits(options.max_megabytes, options.max_pixels, options.max_photos)
        configure_logging(options.log_level, options.log_format)
        registry = ModelRegistry(options.weights, runs=options.runs, limits=limits)
        predictor = registry.open(registry.initial)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    predictor.warm_up()
    public = is_public(options, os.environ)
    host = options.host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    if not public and host not in ("127.0.0.1", "localhost", "::1"):
        print(f"Whoever reaches {host} can train here and read this machine's folders; --public switches that off.")
    with own_files(), contextlib.closing(UmapWorker()) as umap:
        page = build(registry, umap=umap, runs=None if public else options.runs)
        health = Health(predictor, umap=umap)
        told = {"queue": options.queue, **asdict(limits)}
        log_event(_logger, "start", **health.about(), commit=commit(), public=public, mcp=options.mcp, limits=told)
        serve(
            page,
            health=health,
            host=host,
            port=options.port,
            limits=limits,
            retention=Retention(seconds=60 * options.session_minutes, memory=int(options.memory_gb * 2**30)),
            queue=options.queue,
            share=is_shared(options, os.environ),
            mcp=options.mcp,
        )
