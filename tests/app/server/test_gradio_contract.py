"""What this app takes for granted of Gradio's insides, one test for each place that does.

A failure means that another version of Gradio (or of Plotly, or uvicorn) is installed than the one that the app was
tested with, and that it has changed beneath us. Look at the place that the message names: the workaround there has to
follow, or may have become needless.
"""

import asyncio
import atexit
import inspect
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import uvicorn
import uvicorn.config
from gradio import processing_utils, route_utils, routes, state_holder
from gradio.block_function import BlockFunction
from gradio.data_classes import ImageData, PredictBodyInternal
from gradio.http_server import Server
from gradio.queueing import Event, EventQueue, Queue
from gradio.utils import get_upload_folder
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ecenet.app.server.blocks import Page
from ecenet.app.server.event_queue import VisitorQueue
from ecenet.app.server.middleware import UNUSED
from ecenet.app.server.session_store import Retention, Sessions
from tests.support.web.browsing import ROOT

REQUIREMENTS = [
    Requirement(line.partition("#")[0].strip())
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]


def pinned(name: str) -> SpecifierSet:
    return next(one.specifier for one in REQUIREMENTS if one.name == name)


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.fixture
def page() -> Page:
    with Page(analytics_enabled=False) as page:
        gr.Button().click(lambda: None)
    return page


@pytest.mark.parametrize("name", ["gradio", "plotly"])
def test_the_tested_minor_version_is_pinned_and_installed(name: str) -> None:
    major, minor = version(name).split(".")[:2]
    assert version(name) in pinned(name), f"requirements.txt wants {name}{pinned(name)}"
    other = f"{major}.{int(minor) + 1}.0"
    assert other not in pinned(name), f"{name} {other} was never tested, but requirements.txt lets a Space install it"


def test_all_places_name_the_same_gradio() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sdk = re.search(r"^sdk_version: (\S+)$", readme, re.MULTILINE)
    assert sdk is not None
    assert sdk[1] in pinned("gradio"), f"README's sdk_version is {sdk[1]}, requirements.txt has {pinned('gradio')}"
    for file in ("pyproject.toml", "requirements-dev.txt"):
        found = re.search(r"gradio\[mcp\]([^\"\n]*)", (ROOT / file).read_text(encoding="utf-8"))
        assert found is not None, file
        assert SpecifierSet(found[1]) == pinned("gradio"), f"{file} pins another Gradio than requirements.txt"


def test_the_queue_has_what_visitor_queue_overrides_and_reads(page: Page) -> None:
    where = "see VisitorQueue in ecenet/app/server/event_queue.py"
    wanted = {
        "live_updates",
        "concurrency_count",
        "update_intervals",
        "max_size",
        "blocks",
        "default_concurrency_limit",
    }
    assert set(parameters(Queue.__init__)) == {"self", *wanted}, where
    assert parameters(Queue.push) == parameters(VisitorQueue.push) == ["self", "body", "request", "username"], where
    assert inspect.iscoroutinefunction(Queue.push), where
    known = vars(Queue(True, 1, 1, None, page))
    for name in (
        "pending_messages_per_session",
        "pending_event_ids_session",
        "event_ids_to_events",
        "event_queue_per_concurrency_id",
        "sleep_when_free",
        "ANALYTICS_MAX_EVENTS",
        "ANAYLTICS_CACHE_FREQUENCY",
        "blocks",
    ):
        assert name in known, f"Gradio's Queue has no {name} any more: {where}"
    assert {"queue", "current_concurrency"} <= vars(EventQueue("model", 1)).keys(), where
    assert "session_hash" in inspect.getsource(Event.__init__), where
    assert {"fn_index", "session_hash"} <= PredictBodyInternal.model_fields.keys(), where
    assert hasattr(asyncio.Queue(), "_queue"), "unread answers are counted in asyncio's own Queue"
    assert isinstance(next(iter(page.fns.values())), BlockFunction), where


def test_routes_answer_as_visitor_queue_expects() -> None:
    source = inspect.getsource(routes.App.create_app)
    where = "VisitorQueue.push in ecenet/app/server/event_queue.py chooses a status by its state"
    assert "_queue.push(" in source, where
    for state, status in (("queue_full", "HTTP_503_SERVICE_UNAVAILABLE"), ("error", "HTTP_400_BAD_REQUEST")):
        assert f'"{state}": status.{status}' in source, where
    assert "detail=event_id" in source, where


def test_launch_uses_the_queue_that_serve_has_put_in(page: Page) -> None:
    where = "see serve() in ecenet/app/server/serve.py"
    page._queue = queue = VisitorQueue(page, limit=3)
    app = routes.App.create_app(page, mcp_server=False)
    assert app.get_blocks()._queue is queue, where
    assert not re.search(r"\bself\.queue\(|\b_queue = ", inspect.getsource(gr.Blocks.launch)), where
    wanted = {
        *("server_name", "server_port", "share", "theme", "css_paths", "head", "max_file_size", "max_threads"),
        *("footer_links", "mcp_server", "enable_monitoring", "app_kwargs", "prevent_thread_lock", "_frontend"),
    }
    lost = wanted - set(parameters(gr.Blocks.launch))
    assert not lost, f"launch() has lost {lost}: {where}"
    assert "if _frontend and not networking.url_ok" in inspect.getsource(gr.Blocks.launch), where
    assert "GRADIO_RUN_HISTORY" in inspect.getsource(gr.Blocks.launch), where


def test_the_state_holder_has_what_sessions_overrides_and_reads(page: Page) -> None:
    where = "see Sessions in ecenet/app/server/session_store.py"
    app = routes.App.create_app(page, mcp_server=False)
    assert type(app.state_holder) is state_holder.StateHolder, where
    assert parameters(state_holder.StateHolder.__init__) == ["self"], where
    assert parameters(state_holder.StateHolder.set_blocks) == ["self", "blocks"], where
    assert parameters(state_holder.StateHolder.__getitem__) == parameters(Sessions.__getitem__), where
    assert {"session_data", "time_last_used"} <= vars(app.state_holder).keys(), where
    state = app.state_holder["somebody"]
    assert {"state_data", "config_values", "is_closed"} <= vars(state).keys(), where
    assert isinstance(state.state_data, dict), where
    assert isinstance(app.state_holder.time_last_used["somebody"], type(state_holder.datetime.datetime.now())), where
    # Both routes and blocks must come to the one that replaced it.
    sessions = Sessions(page, Retention())
    app.state_holder = sessions
    assert page.state_holder is sessions, where
    source = inspect.getsource(route_utils)
    assert "blocks.state_holder[" in source, where
    assert "app.state_holder[" in source, where
    sessions.close()


def test_a_lifespan_of_ours_gets_the_app(page: Page) -> None:
    source = inspect.getsource(route_utils.create_lifespan_handler)
    assert "user_lifespan(app)" in source, "see kept_sessions in ecenet/app/server/session_store.py"
    assert all(hasattr(block, "keep_in_cache") for block in [gr.Image(render=False), gr.HTML(render=False)]), (
        "see kept_sessions in ecenet/app/server/session_store.py"
    )


def test_blocks_has_what_page_overrides() -> None:
    where = "see Page in ecenet/app/server/blocks.py"
    for name, first in (
        ("process_api", ["self", "block_fn", "inputs"]),
        ("preprocess_data", ["self", "block_fn", "inputs"]),
        ("postprocess_data", ["self", "block_fn", "predictions"]),
    ):
        method = getattr(gr.Blocks, name)
        assert parameters(method)[: len(first)] == first, f"Blocks.{name} has other parameters: {where}"
        assert inspect.iscoroutinefunction(method), f"Blocks.{name}: {where}"
    source = inspect.getsource(gr.Blocks.process_api)
    assert "self.preprocess_data(" in source, where
    assert "self.postprocess_data(" in source, where
    assert {"message", "print_exception"} <= vars(gr.Error("sentence", print_exception=False)).keys(), where


def test_uploads_that_break_off_are_still_called_tmp() -> None:
    source = inspect.getsource(route_utils.GradioMultiPartParser)
    assert "NamedTemporaryFile(delete=False, dir=self.upload_dir)" in source, (
        "see _remove_abandoned in ecenet/app/server/blocks.py"
    )


def test_files_go_where_the_app_looks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert Path(get_upload_folder()) == tmp_path, "see own_files in ecenet/app/server/shutdown.py"
    for function, first in (
        (processing_utils.save_bytes_to_cache, ["data", "file_name", "cache_dir"]),
        (processing_utils.save_base64_to_cache, ["base64_encoding", "cache_dir"]),
    ):
        assert parameters(function)[: len(first)] == first, "see ecenet/app/uploads"


def test_the_server_can_be_told_how_long_it_may_take_to_end() -> None:
    where = "see serve_until_signal and stop_on_signal in ecenet/app/server/shutdown.py"
    assert issubclass(Server, uvicorn.Server), where
    assert hasattr(uvicorn.Config(lambda: None), "timeout_graceful_shutdown"), where
    assert "verbose" in parameters(gr.Blocks.close), where
    assert callable(getattr(atexit, "_run_exitfuncs", None)), where


def test_uvicorn_has_the_loggers_that_are_taken_over() -> None:
    assert {"uvicorn", "uvicorn.error", "uvicorn.access"} == set(uvicorn.config.LOGGING_CONFIG["loggers"]), (
        "see adopt_uvicorn in ecenet/common/logs.py"
    )


OPEN_ROUTES = {
    *("api", "app_id", "call", "cancel", "component_server", "custom_component", "file", "file=", "heartbeat", "info"),
    *("login_check", "openapi.json", "queue", "reset", "run", "startup-events", "stream", "theme.css", "token"),
    *("upload", "upload_progress", "user"),
}
"""Below /gradio_api, by what they begin with: looked at, and left as they are."""


def test_gradio_has_no_route_that_nobody_has_looked_at(page: Page) -> None:
    paths = routes.App.create_app(page, mcp_server=False).openapi()["paths"]
    below = {path.removeprefix("/gradio_api") for path in paths if path.startswith("/gradio_api/")}
    left = {re.split(r"(?<==)|/|\{", path[1:])[0] for path in below if not UNUSED.match(path)}
    assert left == OPEN_ROUTES, (
        "Gradio has other routes: decide for each whether RequestFilter (ecenet/app/server/middleware.py) closes it"
    )
    for closed in ("proxy=", "process_recording", "run-history", "runs", "deep_link", "dev/", "vibe-", "undo-vibe-"):
        assert any(path.startswith(f"/{closed}") for path in below), f"Gradio has no {closed}: UNUSED need not name it"


def test_events_and_uploads_have_the_shape_that_handlers_read() -> None:
    event = gr.EventData(None, {"index": 1})
    assert event._data == {"index": 1}, "see event_data in ecenet/app/state/events.py"
    assert parameters(gr.Image.preprocess) == ["self", "payload"], "see _uploaded_path in ecenet/app/sidebar/photos.py"
    assert "path" in ImageData.model_fields, "see _uploaded_path in ecenet/app/sidebar/photos.py"
