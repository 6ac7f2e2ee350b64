"""Start the app."""

import contextlib
import logging
import os
import sys
from dataclasses import asdict

from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.app.layout import build_app
from ecenet.app.server.health import Health
from ecenet.app.server.options import Options, is_public, is_shared
from ecenet.app.server.serve import serve
from ecenet.app.server.shutdown import own_files, stop_on_signal
from ecenet.app.state.limits import Limits, Retention
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.common.errors import UserError
from ecenet.common.logs import configure_logging, log_event
from ecenet.common.version import commit

_logger = logging.getLogger(__name__)


def start(options: Options) -> None:
    """Serve the page until Ctrl-C, SIGTERM or a closed terminal ends the process with exit code 0."""
    with stop_on_signal():
        serve_app(options)


def serve_app(options: Options) -> None:
    """Serve the page until the app is stopped; exit with code 2 if the options are invalid."""
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
        print(
            f"Everyone who can reach {host} can train here and read this machine's folders; use --public to prevent it."
        )
    with own_files(), contextlib.closing(UmapWorker()) as umap:
        page = build_app(registry, umap=umap, runs=None if public else options.runs)
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
