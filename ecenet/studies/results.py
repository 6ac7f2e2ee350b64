"""Results files of studies, which store results with their settings so that a study can be resumed."""

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
"""The fixed settings of studies before they used the loop of `train`; they apply to files without a format."""


class StudyResults:
    """A results file from which a stopped study can be resumed.

    Args:
        settings: settings of the trainings, as in JSON.
        later: settings added after the first files, with the values that older files imply.
    Raises:
        UserError: the file contains results of other settings, or cannot be read.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, later: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._settings = settings
        self.rows: dict[str, Any] = {}
        """Results by name of the row; `save` writes them."""
        self.embeddings: dict[str, Any] = {}
        """Embedding measures by name of the row; empty for older files and studies that do not measure them."""
        if not path.is_file():
            return
        try:
            kept = json.loads(path.read_text())
            then = LATER_SETTINGS | dict(later or {}) | kept["settings"]
            if isinstance(then.get("segvit"), dict):  # ablations store these settings separately
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
                "changed-settings",
                f"Expected the same settings as the results in {path}, got others; choose another --out.",
            )

    def save(self) -> None:
        content = {"format": FORMAT, "settings": self._settings, "results": self.rows}
        write_json(self._path, content | ({"embeddings": self.embeddings} if self.embeddings else {}))


def spread(values: Sequence[float], *, sign: str = "") -> str:
    """Mean ± standard deviation in percent; the value itself if there is only one, empty if there is none.

    Args:
        sign: `+` to write the sign of positive values.
    """
    if not values:
        return ""
    text = f"{100 * mean(values):{sign}.1f}"
    return f"{text} ± {100 * stdev(values):.1f}" if len(values) > 1 else text
