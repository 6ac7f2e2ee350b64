"""What a study has found so far, kept with the settings that it was found with, and how it is written. Ours."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ecenet.common.errors import UserError
from ecenet.common.files import write_json
from ecenet.training.config import LATER_SEGVIT, LATER_SETTINGS

FORMAT = 2
IGNORED_BEFORE = {
    "frozen_steps": 0,
    "frozen_stages": 0,
    "frozen_batch_norm": True,
    "layer_decay": 1.0,
    "accumulate": 1,
    "precision": "auto",
    "compile": False,
}
"""How studies trained whatever these settings said, until they shared the loop of `train`: what is kept in a file
without a format came about like this."""


class StudyResults:
    """A file of results that goes on where a study was stopped.

    Args:
        settings: of every training, as JSON has them.
    Raises:
        UserError: the file holds results of other settings, or none that can be read.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self._settings = settings
        self.rows: dict[str, Any] = {}
        """By the row's name; `save` keeps what was put there."""
        if not path.is_file():
            return
        try:
            kept = json.loads(path.read_text())
            then = LATER_SETTINGS | kept["settings"]
            if isinstance(then.get("segvit"), dict):  # ablations keep its settings apart
                then["segvit"] = LATER_SEGVIT | then["segvit"]
            if "format" not in kept:
                then |= {name: value for name, value in IGNORED_BEFORE.items() if name in then}
            same = then == LATER_SETTINGS | settings
            self.rows = kept["results"]
        except (ValueError, TypeError, KeyError):
            raise UserError(
                "wrong-file", f"Expected results of a study in {path}, got something else; choose another --out."
            ) from None
        if not same:
            raise UserError(
                "changed-settings", f"Expected the settings of the results in {path}, got others; choose another --out."
            )

    def save(self) -> None:
        write_json(self._path, {"format": FORMAT, "settings": self._settings, "results": self.rows})


def spread(values: Sequence[float], *, sign: str = "") -> str:
    """Mean ± standard deviation in percent, of a single value itself, nothing of nothing.

    Args:
        sign: `+` to write it of what is not negative, too.
    """
    if not values:
        return ""
    text = f"{100 * mean(values):{sign}.1f}"
    return f"{text} ± {100 * stdev(values):.1f}" if len(values) > 1 else text
