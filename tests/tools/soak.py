"""Fifty clients at once for five minutes, on this machine alone: `make soak`. Exits with 1 where a bar is missed."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import psutil
import tyro

from tests.support.web.crowd import Crowd, Ledger

ROOT = Path(__file__).parents[2]
MB = 2**20
NUISANCES = 0.12
"""Share of the clients that are slow on purpose; they come last, all at once, to compare with before."""
PROGRAMS = 0.28
COME, ALL = 45, 90
"""Seconds after which the others have come, one by one, and after which the slow ones do: the time given begins then,
with everybody there."""
FLAT_SECONDS = 180
"""Of the end, in which memory is to stay the same."""
MAX_GROWTH = 0.05
"""In that time, as a share."""
MAX_SLOWER = 1.5
"""A click beside slow clients, as a multiple of one without them."""


@dataclass(frozen=True)
class Options:
    """Load the app with simultaneous clients and see whether it holds up."""

    clients: int = 50
    seconds: float = 300
    """With all of them there; some have come a minute and a half earlier."""
    session_minutes: float = 1
    """The app's own option, small here, to see sessions and files go."""
    queue: int = 24
    """The app's own option, small here, so that some are refused."""
    memory_gb: float = 0.25
    """The app's own option, small here, so that sessions wait on disk."""


@dataclass(frozen=True)
class Sample:
    """The server at one moment, `time.monotonic` seconds."""

    at: float
    memory: float
    """MB of the process."""
    open_files: int
    files: int
    """In Gradio's cache."""


@contextmanager
def served(options: Options, cache: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The app in a process of its own: its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--runs", str(cache / "runs")]
    for name in ("session_minutes", "queue", "memory_gb"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(cache / "files"), "GRADIO_ANALYTICS_ENABLED": "False"}
    with (cache / "app.log").open("w") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_ready(address, server, cache / "app.log")
            yield address, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait(timeout=60)
            (ROOT / "artifacts").mkdir(exist_ok=True)
            shutil.copy(cache / "app.log", ROOT / "artifacts" / "soak.log")


def _wait_until_ready(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"the app ended: {log.read_text()}")
        try:
            if httpx.get(f"{address}/config", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    sys.exit("the app did not answer within five minutes")


async def watch(process: psutil.Process, cache: Path, samples: list[Sample]) -> None:
    while True:
        files = sum(1 for path in (cache / "files").rglob("*") if path.is_file())
        samples.append(Sample(time.monotonic(), process.memory_info().rss / MB, process.num_fds(), files))
        await asyncio.sleep(1)


async def load(address: str, options: Options, process: psutil.Process, cache: Path) -> tuple[Ledger, list[Sample]]:
    """Clients come, all stay for the time given, then there is nobody until what they had must be gone."""
    async with httpx.AsyncClient(base_url=address, timeout=60) as http:
        config = (await http.get("/config")).json()
    crowd = Crowd(address, config, until=time.monotonic() + ALL + options.seconds)
    slow = max(3, round(NUISANCES * options.clients))
    programs = round(PROGRAMS * options.clients)
    kinds = [crowd.visit] * (options.clients - slow - programs) + [crowd.program] * programs
    nuisances = [(crowd.trickle, crowd.ignore, crowd.vanish)[number % 3] for number in range(slow)]
    coming = np.linspace(0, COME, len(kinds))
    np.random.default_rng(0).shuffle(coming)
    clients = [crowd.keep(kind, owner, after=coming[owner]) for owner, kind in enumerate(kinds)]
    clients += [crowd.keep(kind, owner, after=ALL) for owner, kind in enumerate(nuisances, len(kinds))]
    samples: list[Sample] = []
    watching = asyncio.create_task(watch(process, cache, samples))
    await asyncio.gather(*clients)
    print(f"{len(clients)} clients have left; waiting for their sessions and files to go")
    await asyncio.sleep(2 * 60 * options.session_minutes + 30)
    watching.cancel()
    return crowd.ledger, samples


def report(ledger: Ledger, samples: list[Sample], options: Options, began: float) -> bool:
    """Print what was measured; whether every bar is met."""
    print(f"\n{options}\n{'':24}{'number':>8}{'median':>9}{'95 %':>9}{'worst':>9}  seconds")
    for kind in sorted({kind for kind, _, _ in ledger.actions}):
        seconds = np.array([one for name, _, one in ledger.actions if name == kind])
        middle, most = np.percentile(seconds, (50, 95))
        print(f"{kind:24}{len(seconds):8}{middle:9.2f}{most:9.2f}{seconds.max():9.2f}")
    end = began + ALL + options.seconds
    during = [one for one in samples if one.at <= end]
    last = [one for one in during if one.at > end - FLAT_SECONDS]
    memory = np.array([one.memory for one in last])
    slope = np.polyfit([one.at - began for one in last], memory, 1)[0]
    growth = slope * (last[-1].at - last[0].at) / memory.mean()
    print(
        f"memory of the last {last[-1].at - last[0].at:.0f} s: {memory.mean():.0f} MB, {memory.min():.0f} … "
        f"{memory.max():.0f}, growing by {slope * 60:+.1f} MB a minute ({growth:+.1%}); "
        f"before anybody came {samples[0].memory:.0f}, after all had gone {samples[-1].memory:.0f}"
    )
    halves = [[one.memory for one in samples if low <= one.at - began < low + 30] for low in range(0, 3600, 30)]
    print("memory by half minutes, to the end of the wait:", *(f"{np.median(one):.0f}" for one in halves if one))
    print(
        f"open files: {samples[0].open_files}, at most {max(one.open_files for one in during)}, "
        f"at the end {samples[-1].open_files}; files in the cache: at most {max(one.files for one in during)}, "
        f"at the end {samples[-1].files}"
    )
    clicks = {
        slow: [t for kind, at, t in ledger.actions if kind == "click" and low <= at - began < high]
        for slow, low, high in (
            (False, COME, ALL),
            (True, ALL, end - began),
        )
    }
    before, beside = (float(np.median(clicks[slow] or [np.nan])) for slow in (False, True))
    print(
        f"a click without slow clients {before:.2f} s ({len(clicks[False])}), beside them {beside:.2f} s "
        f"({len(clicks[True])})"
    )
    print(
        f"{ledger.events} events, {ledger.busy} refused as busy, at most {ledger.ahead} ahead; {ledger.checked} "
        f"answers looked at, with {ledger.seen} names or pictures"
    )
    bars = {
        "no error but busy": not ledger.errors,
        "nobody saw another's picture": not ledger.foreign and ledger.seen > 0,
        "memory flat": growth <= MAX_GROWTH,
        "slow clients hold up nobody": beside <= MAX_SLOWER * before + 0.1,
        "files gone": samples[-1].files <= samples[0].files,
    }
    for sentence, number in [*ledger.errors.most_common(10), *ledger.foreign.most_common(10)]:
        print(f"{number} × {sentence[:300]}")
    for bar, met in bars.items():
        print(f"{'ok    ' if met else 'MISSED'} {bar}")
    return all(bars.values())


def main(options: Options) -> None:
    with TemporaryDirectory(prefix="soak-") as folder, served(options, Path(folder)) as (address, process):
        began = time.monotonic()
        ledger, samples = asyncio.run(load(address, options, process, Path(folder)))
        met = report(ledger, samples, options, began)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main(tyro.cli(Options))
