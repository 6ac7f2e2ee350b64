"""What a study has found so far, kept with the settings that it was found with, and how it is written. Ours."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ecenet.common.errors import UserError
from ecenet.common.files import write_json
from ecenet.training.settings import LATER_SEGVIT, LATER_SETTINGS

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
        later: settings of this study that came after its first files, with what those had that lack them.
    Raises:
        UserError: the file holds results of other settings, or none that can be read.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, later: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._settings = settings
        self.rows: dict[str, Any] = {}
        """By the row's name; `save` keeps what was put there."""
        self.embeddings: dict[str, Any] = {}
        """Likewise, of embeddings: files that are older have scores alone, and so have studies that measure none."""
        if not path.is_file():
            return
        try:
            kept = json.loads(path.read_text())
            then = LATER_SETTINGS | dict(later or {}) | kept["settings"]
            if isinstance(then.get("segvit"), dict):  # ablations keep its settings apart
                then["segvit"] = LATER_SEGVIT | then["segvit"]
            if "format" not in kept:
                then |= {name: value for name, value in IGNORED_BEFORE.items() if name in then}
            same = then == LATER_SETTINGS | settings
            self.rows, self.embeddings = kept["results"], kept.get("embeddings", {})
        except (ValueError, TypeError, KeyError):
            raise UserError(
                "wrong-file", f"Expected results of a study in {path}, got something else; choose another --out."
            ) from None
        if not same:
            raise UserError(
                "changed-settings", f"Expected the settings of the results in {path}, got others; choose another --out."
            )

    def save(self) -> None:
        content = {"format": FORMAT, "settings": self._settings, "results": self.rows}
        write_json(self._path, content | ({"embeddings": self.embeddings} if self.embeddings else {}))


def spread(values: Sequence[float], *, sign: str = "") -> str:
    """Mean ± standard deviation in percent, of a single value itself, nothing of nothing.

    Args:
        sign: `+` to write it of what is not negative, too.
    """
    if not values:
        return ""
    text = f"{100 * mean(values):{sign}.1f}"
    return f"{text} ± {100 * stdev(values):.1f}" if len(values) > 1 else text
