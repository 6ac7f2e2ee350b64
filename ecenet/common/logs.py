"""The app's log: one line for each event on standard error, as JSON or as text for a terminal.

Lines contain numbers and names of functions and models, but never a visitor's input, file names or identity. Messages
of exceptions and of other libraries may quote those and are therefore logged at level `debug` only. The place where an
error occurred is always logged.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TextIO

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]
OURS = "ecenet"


def log_event(
    logger: logging.Logger, event: str, *, level: LogLevel = "info", error: BaseException | None = None, **facts: Any
) -> None:
    """Write one line to the log.

    Args:
        event: one or two words, the same for all events of a kind.
        error: the exception behind the event; its traceback is logged.
        facts: further JSON values.
    """
    logger.log(getattr(logging, level.upper()), event, exc_info=error, extra={"facts": facts}, stacklevel=2)


def origin(error: BaseException) -> str:
    """Return the function of this project that raised the error, such as `ecenet/data/images.py load_image`, or ""."""
    package = Path(__file__).parents[1]
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(package)
    ]
    return f"{Path(frames[-1].filename).relative_to(package.parent).as_posix()} {frames[-1].name}" if frames else ""


def configure_logging(level: LogLevel, form: LogFormat, *, stream: TextIO | None = None) -> logging.Handler:
    """Send the lines of all loggers to one stream: ours from `level` on, those of other libraries from `warning` on.

    Args:
        form: `auto` is text on a terminal and JSON otherwise.
        stream: standard error by default.
    Returns: the handler that writes the lines.
    """
    stream = stream or sys.stderr
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lines(as_text=as_text, messages=level == "debug"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    logging.captureWarnings(True)
    return handler


def adopt_uvicorn() -> None:
    """Route the messages of uvicorn to our log. Call it after the server has started.

    Gradio (6.31) starts uvicorn with uvicorn's logging configuration, which sets handlers and formats of its own, and
    has no option to change that. This function is no longer needed once `launch` accepts a `log_config`.
    """
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


class _Lines(logging.Formatter):
    def __init__(self, *, as_text: bool, messages: bool) -> None:
        super().__init__()
        self._as_text = as_text
        self._messages = messages

    def format(self, record: logging.LogRecord) -> str:
        line = _describe(record, messages=self._messages)
        return _as_text(line) if self._as_text else json.dumps(line, ensure_ascii=False, default=str)


def _describe(record: logging.LogRecord, *, messages: bool) -> dict[str, Any]:
    time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {"time": time, "level": record.levelname.lower()}
    if record.name.partition(".")[0] == OURS:
        line |= {"event": record.getMessage(), **getattr(record, "facts", {})}
    else:
        line |= {"event": "library", "logger": record.name, "where": f"{record.module}.{record.funcName}"}
        if messages:
            line["message"] = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        line["errors"] = [_error(error, messages=messages) for error in _chain(record.exc_info[1])]
    return line


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return the error and its causes, latest first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _error(error: BaseException, *, messages: bool) -> dict[str, Any]:
    """Describe an error by its class and its stack, which contains no values of variables."""
    frames = traceback.extract_tb(error.__traceback__)
    told: dict[str, Any] = {"type": type(error).__qualname__}
    if messages:
        told["message"] = str(error)
    return told | {"calls": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]}


def _as_text(line: Mapping[str, Any]) -> str:
    facts = dict(line)
    time, level, event, errors = facts.pop("time"), facts.pop("level"), facts.pop("event"), facts.pop("errors", [])
    lines = [" ".join([time[11:19], f"{level:7}", event, *(f"{name}={value}" for name, value in facts.items())])]
    for error in errors:
        lines += [": ".join(filter(None, (error["type"], error.get("message")))), *error["calls"]]
    return "\n    ".join(lines)
