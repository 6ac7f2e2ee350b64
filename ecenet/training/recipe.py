"""What a preset of `train` is, and its options as words of a command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A row of `python -m ecenet recipes`."""

    name: str
    summary: str
    measured: bool
    miou: str
    """Expected, in percent, with its source where we did not measure it."""
    run_time: str
    needs: str
    """What to give besides the preset."""
    options: Mapping[str, Any]
    """By their names on the command line, with `_` for `-`."""

    @property
    def command(self) -> str:
        return f"python -m ecenet train --preset {self.name} {self.needs} --out runs/{self.name}"


def option_words(options: Mapping[str, Any]) -> list[str]:
    """`{"crop_size": 352}` → `["--crop-size", "352"]`; of a group's options, `{"segvit.stand_ins": False}` →
    `["--segvit.no-stand-ins"]`."""
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
