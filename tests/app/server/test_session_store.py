"""What visitors leave on the server goes after its time, waits on disk where there is no room, and comes back whole;
and who waits for the model is told how many are ahead."""

import asyncio
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client.utils import QueueError

from ecenet.app.server import session_store
from ecenet.app.server.event_queue import UNCOUNTED, UNREAD_BYTES, VisitorQueue
from ecenet.app.server.session_store import delete_files, held_bytes
from ecenet.app.state.experiment import Experiment
from ecenet.app.state.limits import Retention
from ecenet.app.state.session import Photo, Session
from ecenet.inference.predictor import Predictor
from tests.support.helpers import noise_image
from tests.support.web.serving import patient_client
from tests.support.web.small_page import LARGE, WRITTEN, SmallPage, small_page
from tests.support.web.visitor import API, Visitor

QUICK = Retention(seconds=1.0, empty_seconds=0.5, resting_seconds=0, every=0.05)


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallPage]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    served = small_page(QUICK)
    yield served
    served.let_go.set()
    served.page.close()


@pytest.fixture
def narrow() -> Iterator[SmallPage]:
    """There is room for one visitor's array, not for two; nobody's time is over."""
    served = small_page(Retention(memory=LARGE * 3 // 2, resting_seconds=0, every=0.05))
    yield served
    served.let_go.set()
    served.page.close()


async def click(served: SmallPage, session: str, *buttons: str, number: int = 1) -> Visitor:
    async with httpx.AsyncClient(base_url=served.address, timeout=60) as http:
        visitor = Visitor(http, served.config, session=session)
        visitor.values[visitor._ids["number"]] = number
        for button in buttons:
            await visitor.fire(button, "click")
    assert [one.error for one in visitor.answers] == [None] * len(buttons)
    return visitor


def test_memory_and_files_of_a_session_go_after_its_time(quick: SmallPage, tmp_path: Path) -> None:
    asyncio.run(click(quick, "a", "fill", "make"))
    (held,) = quick.made
    cache = tmp_path / "cache"
    assert held() is not None
    assert [path.read_text() for path in cache.rglob("*.txt")] == ["mine"]
    quick.wait_until(lambda: held() is None and "a" not in quick.sessions)
    quick.wait_until(lambda: not list(cache.rglob("*.txt")))
    again = asyncio.run(click(quick, "a", "tell"))
    assert again.value("answer") == "nothing", "who comes back begins anew"


def test_after_an_error_of_its_own_the_tidying_goes_on(
    quick: SmallPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, failures = session_store.delete_files, [RuntimeError("once"), RuntimeError("twice")]

    def fail_twice(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        real(*arguments)

    monkeypatch.setattr(session_store, "delete_files", fail_twice)
    asyncio.run(click(quick, "a", "fill", "make"))
    quick.wait_until(lambda: "a" not in quick.sessions and not list((tmp_path / "cache").rglob("*.txt")))
    assert not failures
    assert [one.message for one in caplog.records if one.name == "ecenet.app.server.session_store"] == [
        "tidying failed"
    ] * 2


def test_a_session_lives_as_long_as_it_is_used(quick: SmallPage) -> None:
    async def stay() -> list[str]:
        await click(quick, "a", "fill")
        told = []
        for _ in range(8):
            await asyncio.sleep(0.25)
            told.append((await click(quick, "a", "tell")).value("answer"))
        return told

    assert asyncio.run(stay()) == [str(LARGE // 8)] * 8, "twice its time, counted from when it was filled"


def test_a_running_event_keeps_its_session(quick: SmallPage) -> None:
    async def wait() -> str:
        await click(quick, "a", "fill")
        running = asyncio.create_task(click(quick, "a", "run"))
        await asyncio.sleep(2)
        quick.let_go.set()
        await running
        return str((await click(quick, "a", "tell")).value("answer"))

    assert asyncio.run(wait()) == str(LARGE // 8)


def test_answers_that_nobody_fetches_go_with_their_session(quick: SmallPage) -> None:
    async def ask_and_leave() -> None:
        async with httpx.AsyncClient(base_url=quick.address, timeout=60) as http:
            visitor = Visitor(http, quick.config, session="gone")
            index = next(one["id"] for one in visitor.config["dependencies"] if one["api_name"] == "tell")
            await visitor.join(index)

    asyncio.run(ask_and_leave())
    queue = quick.page._queue
    assert "gone" in queue.pending_messages_per_session
    quick.wait_until(lambda: "gone" not in queue.pending_messages_per_session and "gone" not in quick.sessions)
    assert "gone" not in queue.pending_event_ids_session


def test_what_memory_has_no_room_for_waits_on_disk_and_comes_back_whole(narrow: SmallPage) -> None:
    for number, session in enumerate(("a", "b", "c"), start=1):
        asyncio.run(click(narrow, session, "fill", number=number))
    narrow.wait_until(lambda: sum(one() is not None for one in narrow.made) == 1)
    assert narrow.made[2]() is not None, "those that were used longest ago go"
    for number, session in enumerate(("a", "b", "c"), start=1):
        told = asyncio.run(click(narrow, session, "tell")).value("answer")
        assert told == str(number * LARGE // 8), session


def test_what_is_one_thing_stays_one_on_disk(predictor: Predictor) -> None:
    photo = Photo("p", predictor.predict(noise_image(40, 30)))
    states = {1: Session((photo,)), 2: Experiment(edited=photo.prediction)}
    session, experiment = pickle.loads(pickle.dumps(states)).values()
    assert experiment.edited is session.photos[0].prediction
    np.testing.assert_array_equal(session.photos[0].prediction.label_map, photo.prediction.label_map)


def test_a_full_queue_tells_how_many_are_ahead_and_small_work_goes_on(narrow: SmallPage) -> None:
    async def crowd() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=narrow.address, timeout=60) as http:
            visitors = [Visitor(http, narrow.config) for _ in range(3)]
            index = next(one["id"] for one in visitors[0].config["dependencies"] if one["api_name"] == "run")
            for visitor in visitors:
                await visitor.join(index)
                narrow.wait_until(narrow.running.is_set)  # the first one runs before others come
            assert not any(visitor.answers for visitor in visitors)
            assert (await click(narrow, "other", "fill", "tell")).value("answer") == str(LARGE // 8)
            body = {"data": [], "fn_index": index, "session_hash": "late"}
            url = f"{API}/queue/join"
            return [await http.post(url, json=body, headers=one) for one in ({}, {"Origin": narrow.address})]

    program, browser = asyncio.run(crowd())
    sentence = "Busy: 3 requests are ahead of yours; try again in a minute."
    assert (program.status_code, program.json()["detail"]) == (503, sentence)
    assert (browser.status_code, browser.json()["detail"]) == (400, sentence), "so that the page shows it"
    with pytest.raises(QueueError):
        patient_client(narrow.address).predict(api_name="/run_api")
    reply = httpx.post(f"{narrow.address}{API}/call/run_api", json={"data": []}, timeout=60)
    assert (reply.status_code, reply.json()["detail"]) == (503, sentence)
    narrow.let_go.set()
    narrow.wait_until(lambda: len(narrow.page._queue) == 0)
    assert patient_client(narrow.address).predict(api_name="/run_api") == "done"


def test_who_reads_no_answers_cannot_ask_without_end(narrow: SmallPage) -> None:
    async def ask() -> list[str | None]:
        async with httpx.AsyncClient(base_url=narrow.address, timeout=60) as http:
            visitor = Visitor(http, narrow.config, session="deaf")
            index = next(one["id"] for one in visitor.config["dependencies"] if one["api_name"] == "tell")
            for _ in range(102):
                visitor.forget()
                await visitor.join(index)
            return [one.error for one in visitor.answers]

    assert asyncio.run(ask()) == ["Busy: you have 100 unread responses; read them first."] * 2


def test_who_reads_no_answers_is_asked_to_once_they_are_large(narrow: SmallPage) -> None:
    enough = UNREAD_BYTES // WRITTEN + 1

    async def ask() -> list[str | None]:
        async with httpx.AsyncClient(base_url=narrow.address, timeout=60) as http:
            visitor = Visitor(http, narrow.config, session="deaf")
            indices = {
                name: next(one["id"] for one in visitor.config["dependencies"] if one["api_name"] == name)
                for name in ("lambda", "tell")
            }
            for index in [indices["tell"]] * UNCOUNTED + [indices["lambda"]] * enough:
                visitor.forget()
                await visitor.join(index)
            queue = narrow.page._queue
            assert isinstance(queue, VisitorQueue)
            await asyncio.to_thread(narrow.wait_until, lambda: queue._unread_bytes("deaf") > UNREAD_BYTES)
            visitor.forget()
            await visitor.join(indices["tell"])
            return [one.error for one in visitor.answers]

    assert asyncio.run(ask()) == [f"Busy: you have {UNCOUNTED + enough} unread responses; read them first."]


def test_held_bytes_counts_what_is_there_twice_once() -> None:
    array = np.zeros(10, np.float32)
    assert held_bytes({1: array, 2: [array, "four"], 3: None}) == 44
    assert held_bytes((noise_image(4, 3), Session())) == 36


def test_old_files_go_but_those_of_the_page_itself(tmp_path: Path) -> None:
    for name in ("a/old.jpg", "b/kept.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    delete_files(tmp_path, [], 3600)
    assert len(list(tmp_path.rglob("*.*"))) == 2, "they are new"
    time.sleep(0.05)
    delete_files(tmp_path, [str(tmp_path / "b" / "kept.png")], 0.01)
    delete_files(tmp_path, [str(tmp_path / "b" / "kept.png")], 0)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b", "kept.png"]
