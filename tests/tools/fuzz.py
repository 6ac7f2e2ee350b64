"""The long version of `test_uploads.py`: `make fuzz`. Ends with 1 where anything but a prediction or sentence came."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from tests.support.hostile.bombs import BOMBS
from tests.support.hostile.entry_points import MEGABYTES, SECONDS, EntryPoints, Outcome
from tests.support.hostile.file_bombs import FILE_BOMBS
from tests.support.hostile.mutants import file_mutant, image_mutant

Upload = tuple[str, str, bytes]
"""What it is called, the entry point that it comes by, the file."""


def mutants(count: int) -> Iterator[Upload]:
    for number in range(count):
        kind, content = image_mutant(number)
        yield f"mutant {number} ({kind})", "photo", content


def file_mutants(count: int) -> Iterator[Upload]:
    for number in range(count):
        kind, content = file_mutant(number)
        yield f"mutant {number} ({kind})", kind, content


def bombs() -> Iterator[Upload]:
    for name, make in BOMBS.items():
        yield name, "photo", make()


def file_bombs() -> Iterator[Upload]:
    for name, (entry_point, make) in FILE_BOMBS.items():
        yield name, entry_point, make()


def run(title: str, uploads: Iterator[Upload], total: int, *, entry_points: EntryPoints, path: Path) -> int:
    """Open one after the other, print one line of figures. Returns the number of problems."""
    outcomes: dict[str, Outcome] = {}
    for name, entry_point, content in tqdm(uploads, total=total, desc=title, disable=not sys.stderr.isatty()):
        path.write_bytes(content)
        outcomes[name] = entry_points.open(entry_point, path)
        if problem := outcomes[name].problem():
            print(f"{name}: {problem}", flush=True)
    counts = Counter(one.kind for one in outcomes.values())
    slowest = max(outcomes, key=lambda name: outcomes[name].cpu)
    largest = max(outcomes, key=lambda name: outcomes[name].megabytes)
    print(
        f"{title}: {len(outcomes)}, of which {', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}; "
        f"slowest {slowest}: {outcomes[slowest].cpu:.1f} s of processor time, {outcomes[slowest].seconds:.1f} s; "
        f"longest {max(one.seconds for one in outcomes.values()):.1f} s; "
        f"highest {largest}: {outcomes[largest].megabytes:.0f} MB above idle",
        flush=True,
    )
    return sum(bool(one.problem()) for one in outcomes.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=1600)
    parser.add_argument("--file-mutants", type=int, default=250)
    options = parser.parse_args()
    parts: list[tuple[str, Callable[[], Iterator[Upload]], int]] = [
        ("bombs", bombs, len(BOMBS)),
        ("bombs of other files", file_bombs, len(FILE_BOMBS)),
        ("mutated images", partial(mutants, options.mutants), options.mutants),
        ("mutated other files", partial(file_mutants, options.file_mutants), options.file_mutants),
    ]
    entry_points, start, problems = EntryPoints(), time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for title, uploads, total in parts:
            problems += run(title, uploads(), total, entry_points=entry_points, path=Path(folder) / "upload.bin")
    entry_points.close()
    print(f"{problems} problems, bars {SECONDS} s and {MEGABYTES} MB; {time.perf_counter() - start:.0f} s in all")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
