"""The definition of a preset of `train`, and its conversion to command-line arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A preset: a row of `python -m ecenet recipes`."""

    name: str
    summary: str
    measured: bool
    miou: str
    """Expected mIoU in percent, with its source if it is not our measurement."""
    run_time: str
    needs: str
    """Options that must be given in addition."""
    options: Mapping[str, Any]
    """Values by option name, with `_` for `-`."""

    @property
    def command(self) -> str:
        return f"python -m ecenet train --preset {self.name} {self.needs} --out runs/{self.name}"


def option_words(options: Mapping[str, Any]) -> list[str]:
    """Convert options to arguments: `{"crop_size": 352}` → `["--crop-size", "352"]`, and for a group
    `{"segvit.stand_ins": False}` → `["--segvit.no-stand-ins"]`."""
    words: list[str] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            group, dot, own = flag.rpartition(".")
            words.append(f"--{flag}" if value else f"--{group}{dot}no-{own}")
        elif isinstance(value, (tuple, list)):
            words += [f"--{flag}", *map(str, value)]
        else:
            words += [f"--{flag}", str(value)]
    return words
