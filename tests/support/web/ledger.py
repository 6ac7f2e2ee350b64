"""What each visitor of a load test has seen."""

import re
from collections import Counter
from dataclasses import dataclass, field

from tests.support.web.visitor import BUSY, Answer


@dataclass
class Ledger:
    """What happened."""

    actions: list[tuple[str, float, float]] = field(default_factory=list)
    """What was asked, when it began and how long it took, `time.monotonic` seconds."""
    events: int = 0
    busy: int = 0
    ahead: int = 0
    """How many were told to be ahead of somebody, at most."""
    errors: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    """Answers that were looked at for another's pictures, and names or pictures that were found in them."""
    seen: int = 0
    foreign: Counter[str] = field(default_factory=Counter)

    def take(self, answers: list[Answer]) -> None:
        for one in answers:
            self.events += 1
            self.ahead = max(self.ahead, one.ahead)
            if one.error:
                self.fail(one.name, one.error)

    def fail(self, where: str, sentence: str) -> None:
        if sentence.startswith((BUSY, "Queue is full")):
            self.busy += 1
            self.ahead = max([self.ahead, *map(int, re.findall(r"\d+", sentence))])
        else:
            self.errors[f"{where}: {sentence}"] += 1

    def look(self, owner: int, found: int, where: str) -> None:
        self.seen += 1
        if found != owner:
            self.foreign[f"{owner} saw {found} in {where}"] += 1
