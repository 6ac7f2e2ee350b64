"""Visitors, programs and nuisances who all come at once; each knows its pictures and tells when it sees another's."""

import asyncio
import base64
import io
import json
import random
import re
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

from tests.support.web.ledger import Ledger
from tests.support.web.serving import patient_client
from tests.support.web.visitor import API, Visitor

LEVELS = (16, 90, 165, 240)
"""Of the squares in a picture's corner that tell whose it is."""
SQUARE = 24
PHOTOS = 1
"""That a visitor has before it removes them: few, so that memory soon is what it stays."""
EXAMPLE = ("examples", "pick", {"index": 0})
NAMED = re.compile(r"crowd(\d+)-")
JPEG = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")


def size_of(owner: int) -> tuple[int, int]:
    """(width, height) that only this client's pictures have."""
    return 320 + 4 * owner, 240 + 3 * owner


@lru_cache(maxsize=256)
def picture(owner: int, number: int) -> bytes:
    """A JPEG with its owner's mark in the corner."""
    import skimage.data

    source = Path(skimage.data.__file__).parent / ("chelsea.png" if number % 2 else "astronaut.png")
    image = Image.open(source).convert("RGB").resize(size_of(owner))
    for place in range(3):
        level = LEVELS[owner // 4**place % 4]
        image.paste((level, level, level), (place * SQUARE, 0, (place + 1) * SQUARE, SQUARE))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def owner_of(content: bytes, owner: int) -> int:
    """Whose mark a picture has, at whatever scale it is."""
    image = Image.open(io.BytesIO(content)).convert("L")
    scale = image.width / size_of(owner)[0]
    places = [(int((place + 0.5) * SQUARE * scale), int(0.5 * SQUARE * scale)) for place in range(3)]
    grey = np.asarray(image).astype(int)
    digits = [int(np.argmin([abs(grey[y, x] - level) for level in LEVELS])) for x, y in places]
    return sum(digit * 4**place for place, digit in enumerate(digits))


@dataclass
class Crowd:
    """All who come to one app.

    Args:
        until: `time.monotonic` seconds at which they leave.
        pause: seconds that a visitor looks at what it got, at most.
    """

    address: str
    config: dict[str, Any]
    until: float
    pause: float = 10
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    async def keep(self, who: Callable[[int], Awaitable[None]], owner: int, *, after: float = 0) -> None:
        """One client until the end; what it stumbles over is noted, and it comes again."""
        await asyncio.sleep(after)
        while not self.over:
            try:
                await who(owner)
            except Exception as error:
                self.ledger.fail(who.__name__, f"{type(error).__name__}: {error}")
                await asyncio.sleep(1)

    async def timed(self, kind: str, action: Awaitable[Any]) -> Any:
        began = time.monotonic()
        result = await action
        self.ledger.actions.append((kind, began, time.monotonic() - began))
        return result

    async def rest(self) -> None:
        await asyncio.sleep(random.uniform(self.pause / 3, self.pause))

    def visitor(self, http: httpx.AsyncClient, owner: int) -> Visitor:
        return Visitor(http, self.config, check=lambda name, data: self.check(owner, name, data))

    def http(self) -> httpx.AsyncClient:
        # Without kept connections: where one was closed meanwhile, browsers ask again by themselves, httpx does not.
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=self.address, timeout=httpx.Timeout(300), limits=limits)

    def check(self, owner: int, where: str, data: Any) -> None:
        """Every name in an answer, and the first photo of every page part, must be the owner's."""
        self.ledger.checked += 1
        text = json.dumps(data)
        for found in set(NAMED.findall(text)):
            self.ledger.look(owner, int(found), f"a name from {where}")
        photo = JPEG.search(text)
        if photo and ("the photo" in text or '\\"help\\"' in text):  # Segment's and the canvas's, without a mask
            self.ledger.look(owner, owner_of(base64.b64decode(photo[1]), owner), f"a picture from {where}")

    async def visit(self, owner: int) -> None:
        """Somebody at a browser: adds photos, clicks in them, looks at stages, removes them."""
        async with self.http() as http:
            visitor = self.visitor(http, owner)
            beating = asyncio.create_task(_heartbeat(http, visitor.session))
            try:
                await self.timed("page opened", visitor.open())
                number = 0
                while not self.over:
                    if not await self._add_photo(visitor, owner, number):
                        await self.rest()
                        continue
                    number += 1
                    for _ in range(3):
                        await self.rest()
                        await self._click(visitor, owner)
                    if number % PHOTOS == 0:
                        await visitor.fire("clear-photos", "click")
                    self.ledger.take(visitor.answers)
                    visitor.answers.clear()
            finally:
                self.ledger.take(visitor.answers)
                beating.cancel()

    async def _add_photo(self, visitor: Visitor, owner: int, number: int) -> bool:
        """Whether there was room."""
        file = await self.timed("upload", visitor.upload(f"crowd{owner}-{number}.jpg", picture(owner, number)))
        began = time.monotonic()
        answers = await visitor.fire("photo-input", "upload", value=file)
        if answers[0].error:
            return False
        self.ledger.actions.append(("photo, all of it", began, time.monotonic() - began))
        self.ledger.actions.append(("photo segmented", began, answers[0].seconds))
        for content in JPEG.findall(visitor.value("session-photos") or ""):
            self.ledger.look(owner, owner_of(base64.b64decode(content), owner), "a thumbnail")
        return True

    async def _click(self, visitor: Visitor, owner: int) -> None:
        width, height = size_of(owner)
        match random.choice(["pixel", "stage", "photo"]):
            case "pixel":
                place = {"x": random.randrange(width), "y": random.randrange(height)}
                done = visitor.fire("segment-view", "pixel", data=place)
            case "stage":
                done = visitor.fire("stage-picker", "input", value=random.choice(["ece", "stage4", "stage1", "final"]))
            case _:
                done = visitor.fire("session-photos", "pick", data={"index": 0})
        answers = await self.timed("click, all of it", done)
        # Of a click that has left the photos as they are, the first answer is the click's own.
        self.ledger.actions += [("click", time.monotonic(), one.seconds) for one in answers[:1]]

    async def program(self, owner: int) -> None:
        """Somebody's program, with gradio_client."""
        await asyncio.to_thread(self._call, owner)

    def _call(self, owner: int) -> None:
        with TemporaryDirectory() as folder:
            client = patient_client(self.address, download_files=folder)
            number = 0
            while not self.over:
                number += 1
                path = Path(folder) / f"crowd{owner}-{number % 4}.jpg"
                path.write_bytes(picture(owner, number))
                began = time.monotonic()
                try:
                    self._request(client, path, owner, "/embed" if number % 4 == 0 else "/segment")
                except Exception as error:
                    self.ledger.fail("program", str(error))
                self.ledger.events += 1
                self.ledger.actions.append(("call of the API", began, time.monotonic() - began))
                time.sleep(random.uniform(self.pause / 3, self.pause))
            client.close()

    def _request(self, client: Client, path: Path, owner: int, endpoint: str) -> None:
        if endpoint == "/embed":
            report = client.predict([handle_file(path)], api_name=endpoint)
            self.check(owner, endpoint, report["photos"])
            return
        report, overlay = client.predict(handle_file(path), api_name=endpoint)
        self.ledger.checked += 1
        for file in (report["label_map"], overlay):
            width, height = Image.open(file if isinstance(file, str) else file["path"]).size
            self.ledger.look(owner, (width - 320) // 4 if (height - 240) * 4 == (width - 320) * 3 else -1, endpoint)

    async def trickle(self, owner: int) -> None:
        """Uploads a byte at a time."""
        url = urlsplit(self.address)
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="slow.jpg"\r\n\r\n' + picture(owner, 0)
        head = f"POST {API}/upload HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        for byte in body:
            if self.over:
                break
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.close()

    async def ignore(self, owner: int) -> None:
        """Adds a photo, then asks for large answers and reads none; every other one does not even fetch them."""
        async with self.http() as http:
            visitor = self.visitor(http, owner)
            url = urlsplit(self.address)
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                await self._ask(visitor, *EXAMPLE)
                deaf.connect((url.hostname, url.port))
                if owner % 2:
                    request = (
                        f"GET {API}/queue/data?session_hash={visitor.session} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n"
                    )
                    deaf.sendall(request.encode())
                while not self.over:
                    await asyncio.sleep(self.pause / 3)
                    await self._ask(visitor, "map-rows", "input")
                    self.ledger.take(visitor.answers)
                    visitor.answers.clear()

    async def vanish(self, owner: int) -> None:
        """Asks, hears the first word of the answer, and is gone."""
        async with self.http() as http:
            visitor = self.visitor(http, owner)
            await self._ask(visitor, *EXAMPLE)
            async with visitor.stream() as lines:
                async for _ in lines:
                    break
            self.ledger.take(visitor.answers)
        await self.rest()

    async def _ask(self, visitor: Visitor, elem_id: str, event: str, data: Any = None) -> None:
        """Send an event and wait for nothing."""
        target = next(one["id"] for one in self.config["components"] if one["props"].get("elem_id") == elem_id)
        index = next(one["id"] for one in self.config["dependencies"] if [target, event] in one["targets"])
        visitor.forget()
        await visitor.join(index, trigger=target, data=data)


async def _heartbeat(http: httpx.AsyncClient, session: str) -> None:
    """As long as its tab is open, a browser holds this line."""
    async with http.stream("GET", f"{API}/heartbeat/{session}", timeout=httpx.Timeout(None)) as reply:
        async for _ in reply.aiter_lines():
            pass
