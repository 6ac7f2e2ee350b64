"""A handful of clients for ten seconds; `make soak` has fifty for five minutes."""

import asyncio
import time

import httpx

from tests.support.web.crowd import Crowd, owner_of, picture
from tests.support.web.serving import Served

SECONDS = 10


def test_a_picture_tells_whose_it_is() -> None:
    assert [owner_of(picture(owner, owner % 2), owner) for owner in range(64)] == list(range(64))


def test_everybody_gets_their_own_answers_beside_slow_clients(api: Served) -> None:
    config = httpx.get(f"{api.address}/config", timeout=60).json()
    crowd = Crowd(api.address, config, until=time.monotonic() + SECONDS, pause=1)
    kinds = [crowd.visit, crowd.visit, crowd.program, crowd.trickle, crowd.ignore, crowd.vanish]

    async def come() -> None:
        await asyncio.gather(*(crowd.keep(kind, owner) for owner, kind in enumerate(kinds)))

    asyncio.run(come())
    asked = {kind for kind, _, _ in crowd.ledger.actions}
    assert not crowd.ledger.errors, crowd.ledger.errors
    assert not crowd.ledger.foreign, crowd.ledger.foreign
    assert {"photo, all of it", "click, all of it", "call of the API"} <= asked
    assert crowd.ledger.seen >= 5, "names and pictures that were compared"
