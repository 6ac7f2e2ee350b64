"""What whoever starts the app may choose; made without heavy imports, since the command line shows it."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ecenet.app.state.limits import MAX_WAITING, Limits, Retention
from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.common.logs import LogFormat, LogLevel
from ecenet.training.run_folder import RUNS_DIR


@dataclass(frozen=True)
class Options:
    """Serve the explorer."""

    weights: str = field(default_factory=lambda: os.environ.get("ECENET_WEIGHTS") or DEFAULT_WEIGHTS)
    """The model that is selected first: name of included weights, a folder, or a Hub id such as owner/name or
    owner/name@revision. The default is the environment variable ECENET_WEIGHTS, if it is set."""
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
    """Of one image; of WebP, AVIF and HEIC, which take more memory, 0.6 of it, of JPEG XL 0.2."""
    max_photos: int = Limits.photos
    """Of one visitor's session."""
    queue: int = MAX_WAITING
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


def check_mcp() -> None:
    """Raises:
    UserError: what MCP takes is not installed.
    """
    if importlib.util.find_spec("mcp") is None:
        raise UserError(
            "package-missing",
            "Expected Gradio's extra for MCP, but it is missing; run pip install 'gradio[mcp]' first.",
        )
