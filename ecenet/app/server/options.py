"""Options of the app. Without heavy imports, since the command line shows them."""

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
    """Serve the app."""

    weights: str = field(default_factory=lambda: os.environ.get("ECENET_WEIGHTS") or DEFAULT_WEIGHTS)
    """The model that is selected first: name of included weights, a folder, or a Hub id such as owner/name or
    owner/name@revision. The default is the environment variable ECENET_WEIGHTS, if it is set."""
    runs: Path = RUNS_DIR
    """Folder of training runs. The Train tab saves runs there, and the model list contains the finished ones."""
    public: bool = False
    """Disable training, for apps that strangers can reach. Implied by a Space and by --share."""
    share: bool = False
    """Also serve the app at a public URL of Gradio for a week. Without internet access, it is served locally only."""
    host: str | None = None
    """Address to listen on; by default 127.0.0.1, or the one set by a Space."""
    port: int | None = None
    """Port; by default 7860 or the next free one."""
    mcp: bool = False
    """Also serve the API to MCP clients."""
    max_megabytes: int = Limits.megabytes
    """Size limit of an uploaded file in MiB."""
    max_pixels: int = Limits.pixels
    """Limit on the pixels of an image. For WebP, AVIF and HEIC, which need more memory, it is 0.6 times as high, for
    JPEG XL 0.2 times."""
    max_photos: int = Limits.photos
    """Limit on the photos of a session."""
    queue: int = MAX_WAITING
    """Number of events that may wait for the model. Further requests are rejected with the queue length."""
    session_minutes: float = Retention.seconds / 60
    """Idle time after which a visitor's photos are deleted."""
    memory_gb: float = Retention.memory / 2**30
    """Memory for the photos of all visitors; beyond it, they are kept on disk."""
    log_level: LogLevel = "info"
    """Level of the log on standard error. debug adds error messages, which may quote the names of visitors' files."""
    log_format: LogFormat = "auto"
    """One JSON object per line, or text. By default text on a terminal and JSON otherwise."""

    def check(self) -> None:
        """Check the options.

        Raises:
            UserError: an option is out of range, or the package for MCP is missing.
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
    """Return whether a share link is requested."""
    return options.share or environment.get("GRADIO_SHARE", "").lower() == "true"


def is_public(options: Options, environment: Mapping[str, str]) -> bool:
    """Return whether strangers may reach the app: with --public, in a Space, or with a share link."""
    return options.public or "SPACE_ID" in environment or is_shared(options, environment)


def check_mcp() -> None:
    """Check that Gradio's extra for MCP is installed.

    Raises:
        UserError: it is missing.
    """
    if importlib.util.find_spec("mcp") is None:
        raise UserError(
            "package-missing",
            "Expected Gradio's extra for MCP, but it is not installed; run pip install 'gradio[mcp]'.",
        )
