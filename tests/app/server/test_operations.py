"""What whoever runs the app relies on: /health, a log without visitors in it, failures that tell no secrets."""

import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError

import ecenet
from ecenet.app.api import photo
from ecenet.app.error_reporting import full_name
from ecenet.app.server import health as health_module
from ecenet.app.server.blocks import Page
from ecenet.app.server.health import Health
from ecenet.app.server.serve import serve
from ecenet.app.state.limits import MAX_WAITING, Limits
from ecenet.app.state.session import Session, add_photos
from ecenet.common.errors import UserError
from ecenet.common.logs import configure_logging, log_event
from ecenet.inference.predictor import Predictor
from tests.support.fitters import ScriptedFitter
from tests.support.refusals import assert_names
from tests.support.web.serving import Served, patient_client

ENDPOINTS = "ecenet.app.api.photo.PhotoEndpoints"
SECRET = "the visitor's holiday"


class CapturedLog:
    """Lines written since the last look."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def text(self) -> str:
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def log() -> Iterator[CapturedLog]:
    """The app's, as JSON at the level `info`; afterwards logging is as it was."""
    root, ours = logging.getLogger(), logging.getLogger("ecenet")
    before = root.handlers[:], root.level, ours.level
    log = CapturedLog()
    configure_logging("info", "json", stream=log.stream)
    yield log
    root.handlers[:] = before[0]
    logging.captureWarnings(False)
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.fixture
def health(predictor: Predictor) -> Health:
    """That tries the model whenever it is asked."""
    umap: Any = ScriptedFitter()
    return Health(predictor, umap=umap, probe_every=0)


def test_health_tells_what_answers_and_nothing_else(api: Served) -> None:
    answer = httpx.get(f"{api.address}/health", timeout=60)
    assert answer.status_code == 200
    report = answer.json()
    assert report.pop("uptime_seconds") >= 0
    assert report == {
        "status": "ok",
        "version": ecenet.__version__,
        "weights": "everyday",
        "device": api.predictor.device.type,
        "waiting": 0,
        "queue": MAX_WAITING,
        "umap_ready": True,
    }
    head = httpx.head(f"{api.address}/health", timeout=60)
    assert (head.status_code, head.content) == (200, b"")
    assert httpx.post(f"{api.address}/health", timeout=60).status_code == 405


def test_health_fails_while_the_model_does_and_recovers_with_it(
    health: Health, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, log: CapturedLog
) -> None:
    assert health.answers()

    def broken(*args: object, **options: object) -> None:
        raise RuntimeError(SECRET)

    with monkeypatch.context() as patched:
        patched.setattr(predictor.model, "forward_head", broken)
        assert health.report(waiting=3, queue=4) | {"uptime_seconds": 0} == {
            "status": "failing",
            **health.about(),
            "uptime_seconds": 0,
            "waiting": 3,
            "queue": 4,
            "umap_ready": True,
        }
        (line,) = log.lines()
        assert (line["event"], line["errors"][0]["type"]) == ("model does not answer", "RuntimeError")
    assert health.answers()


def test_a_model_that_never_ends_is_taken_for_broken_after_a_while(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, end = threading.Event(), threading.Event()

    def stuck() -> bool:
        entered.set()
        return end.wait()

    monkeypatch.setattr(health, "_probe", stuck)
    asking = threading.Thread(target=health.answers)
    asking.start()
    entered.wait()
    assert health.answers(), "it may just be busy"
    monkeypatch.setattr(health_module, "STUCK_AFTER", 0)
    assert not health.answers()
    end.set()
    asking.join()
    monkeypatch.setattr(health_module, "STUCK_AFTER", 60)
    assert health.answers()


def test_a_model_is_not_tried_for_everybody_who_asks(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    umap: Any = ScriptedFitter()
    health = Health(predictor, umap=umap, probe_every=3600)
    monkeypatch.setattr(predictor.model, "forward_head", None)
    assert health.answers()


def test_predictions_and_refusals_are_told_without_who_sent_what(api: Served, log: CapturedLog) -> None:
    name = f"{SECRET}.jpg"
    (api.folder / name).write_bytes((api.folder / "photo.jpg").read_bytes())
    (api.folder / f"no {name}").write_bytes(b"no picture")
    api.client.predict(handle_file(str(api.folder / name)), api_name="/segment")
    with pytest.raises(AppError, match=SECRET):
        api.client.predict(handle_file(str(api.folder / f"no {name}")), api_name="/segment")
    with pytest.raises(AppError, match="zebra"):
        api.client.predict(handle_file(str(api.folder / name)), "zebra", api_name="/similarity")
    text = log.text()
    for hidden in (SECRET, "holiday", ".jpg", "zebra", "127.0.0.1", api.client.session_hash):
        assert hidden not in text
    told = [json.loads(line) for line in text.splitlines()]
    whole, unreadable, again, unknown = (line for line in told if line["event"] != "library")
    assert whole.pop("milliseconds") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", whole.pop("time"))
    assert whole == {
        "level": "info",
        "event": "prediction",
        "model": "everyday",
        "photo": "451x300",
        "seen": "448x304",
        "head_only": False,
    }
    refusal = {"event": "refused", "during": f"{ENDPOINTS}.segment", "kind": "UserError", "code": "wrong-file"}
    assert unreadable.items() >= refusal.items()
    assert unreadable["where"].startswith("ecenet/data/image_file.py ")
    assert again["event"] == "prediction"
    assert (unknown["during"], unknown["code"], unknown["where"]) == (
        f"{ENDPOINTS}.similarity",
        "unknown-choice",
        "ecenet/inference/prediction.py class_index",
    )


def test_a_photo_among_several_that_cannot_be_used_is_told_too(
    predictor: Predictor, tmp_path: Path, log: CapturedLog
) -> None:
    (tmp_path / f"{SECRET}.png").write_bytes(b"no image")
    add_photos(Session(), [str(tmp_path / f"{SECRET}.png")], predictor=predictor)
    (line,) = log.lines()
    assert (line["event"], line["during"]) == ("refused", "ecenet.app.state.session.add_photos")
    assert SECRET not in str(line)


def test_what_fails_becomes_one_sentence_whose_reference_the_journal_has(
    api: Served, log: CapturedLog, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError(f"/srv/app/{SECRET}")

    monkeypatch.setattr(photo, "overlay", broken)
    with pytest.raises(AppError) as failed:
        api.client.predict(handle_file(str(api.folder / "photo.jpg")), api_name="/segment")
    sentence = failed.value.message
    assert sentence.startswith("Something went wrong on the server (reference ")
    assert "RuntimeError" not in sentence
    assert "/" not in sentence
    _, line = log.lines()
    assert (line["level"], line["event"], line["during"]) == ("error", "failed", f"{ENDPOINTS}.segment")
    assert f"(reference {line['reference']})" in sentence
    (error,) = line["errors"]
    assert (error["type"], error["calls"][-1].split()[-1]) == ("RuntimeError", "broken")
    assert any("ecenet/app/api/photo.py" in call for call in error["calls"])
    assert SECRET not in str(line)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_failure_costs_no_session_whatever_event_it_comes_from(health: Health, log: CapturedLog) -> None:
    """On a page of two events, none of which knows of errors."""

    def count(number: int) -> tuple[int, int]:
        return number + 1, number + 1

    def fail(number: int) -> int:
        raise ZeroDivisionError

    with Page(analytics_enabled=False) as page:
        kept, shown = gr.State(0), gr.Number()
        gr.Button().click(count, kept, [kept, shown])
        gr.Button().click(fail, kept, kept)
    serve(page, health=health, host="127.0.0.1", port=None, limits=Limits(), wait=False)
    try:
        client = patient_client(page.local_url)
        assert client.predict(api_name="/count") == 1
        with pytest.raises(AppError) as caught:
            client.predict(api_name="/fail")
        assert client.predict(api_name="/count") == 2
    finally:
        page.close(verbose=False)
    (failed,) = log.lines()
    assert (failed["event"], failed["during"]) == ("failed", full_name(fail))
    assert_names(str(caught.value), failed["reference"])


def test_messages_are_for_those_who_ask_for_them(log: CapturedLog) -> None:
    """They may quote anything: those of errors, and all of what other libraries say."""

    def say() -> None:
        try:
            try:
                raise KeyError(SECRET)
            except KeyError as error:
                raise UserError("invalid-value", SECRET) from error
        except UserError as error:
            log_event(logging.getLogger("ecenet.x"), "failed", level="error", error=error)
        logging.getLogger("PIL.Image").warning("read %s", SECRET)
        logging.getLogger("uvicorn.access").info("read %s", SECRET)

    say()
    ours, theirs = log.lines()
    assert [error["type"] for error in ours["errors"]] == ["UserError", "KeyError"]
    assert theirs.items() >= {"level": "warning", "logger": "PIL.Image", "where": "test_operations.say"}.items()
    assert SECRET not in str((ours, theirs))
    configure_logging("debug", "json", stream=log.stream)
    say()
    ours, theirs = log.lines()
    assert [SECRET in error["message"] for error in ours["errors"]] == [True, True]
    assert theirs["message"] == f"read {SECRET}"


def test_the_level_holds_back_and_text_is_one_line_an_event(log: CapturedLog) -> None:
    configure_logging("warning", "text", stream=log.stream)
    logger = logging.getLogger("ecenet.x")
    log_event(logger, "prediction", milliseconds=3)
    log_event(logger, "unusable file", level="warning", problem="mine")
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning unusable file problem=mine\n", log.text())
