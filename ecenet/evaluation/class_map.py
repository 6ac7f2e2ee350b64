"""Class maps: evaluate weights on data with other classes by mapping each class of the weights to one of the data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ecenet.common.errors import UserError

OUTSIDE = "(outside the map)"
"""Name for predictions that map to no class of the data."""
OUTSIDE_COLOR = [128, 128, 128]
MAX_MISTAKES = 5
"""Maximum number of unknown names in one message."""


@dataclass(frozen=True, eq=False)
class ClassMap:
    """A map from the K classes of the weights to the D classes of the data."""

    class_names: list[str]
    """Names of the D classes of the data."""
    targets: np.ndarray
    """(K,) int64 index of the data's class for each class of the weights; D if it maps to none."""
    content: dict[str, Any]
    """`classes` and `rest`, as in the file."""

    @property
    def has_outside(self) -> bool:
        """Whether predictions can be outside the map because it has no `rest`."""
        return self.content["rest"] is None

    @property
    def predicted_names(self) -> list[str]:
        """Names of the confusion matrix's P columns: the data's classes and, without `rest`, `OUTSIDE`."""
        return [*self.class_names, OUTSIDE] if self.has_outside else self.class_names

    @property
    def rest_index(self) -> int | None:
        """Index of the data's class that all unlisted classes of the weights map to; None without `rest`."""
        return None if self.has_outside else self.class_names.index(self.content["rest"])

    @cached_property
    def _lookup(self) -> np.ndarray:
        """(256,) uint8 lookup table; values that are not classes of the weights are unchanged."""
        table = np.arange(256, dtype=np.uint8)
        table[: len(self.targets)] = self.targets
        return table

    def apply(self, label_map: np.ndarray) -> np.ndarray:
        """Map (H, W) uint8 classes of the weights to (H, W) uint8 classes of the data; D outside the map."""
        return self._lookup[label_map]


def read_class_map(path: Path, *, weights_names: Sequence[str], data_names: Sequence[str]) -> ClassMap:
    """Read `{"classes": {"class of the weights": "class of the data", …}, "rest": "class of the data" or null}`.

    Several classes of the weights can map to the same class. Classes that `classes` does not list map to `rest`;
    without `rest`, they always count as wrong.

    Raises:
        UserError: the file is missing or is not such a JSON file, or it contains unknown class names.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            "file-missing",
            f"Expected a class map in {path}, but the file does not exist; create one with `python -m ecenet map`.",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            "file-damaged",
            f"Expected JSON in {path}, but it cannot be read ({' '.join(str(error).split())[:120]}); correct the file.",
        ) from error
    return make_class_map(content, weights_names=weights_names, data_names=data_names, source=path.name)


def make_class_map(
    content: object, *, weights_names: Sequence[str], data_names: Sequence[str], source: str = "the class map"
) -> ClassMap:
    """Make a class map from parsed content; format and errors as for `read_class_map`.

    Args:
        source: name of the map in error messages.
    """
    classes, rest = _parsed(content, source)
    targets = {*classes.values(), *([] if rest is None else [rest])}
    _check_known(classes, known=weights_names, source=source, whose="the weights know")
    _check_known(sorted(targets), known=data_names, source=source, whose="the data has")
    index = {name: number for number, name in enumerate(data_names)} | {None: len(data_names)}
    return ClassMap(
        class_names=list(data_names),
        targets=np.array([index[classes.get(name, rest)] for name in weights_names], dtype=np.int64),
        content={"classes": classes, "rest": rest},
    )


def _parsed(content: object, source: str) -> tuple[dict[str, str], str | None]:
    """`classes` and `rest` of the content, after checking their types."""
    if isinstance(content, Mapping) and set(content) <= {"classes", "rest"}:
        classes, rest = content.get("classes"), content.get("rest")
        texts = isinstance(classes, dict) and all(isinstance(text, str) for text in [*classes, *classes.values()])
        if isinstance(classes, dict) and texts and (rest is None or isinstance(rest, str)):
            return dict(classes), rest
    raise UserError(
        "wrong-file",
        f'Expected {{"classes": {{"class of the weights": "class of the data", …}}, "rest": "class of the data" or '
        f"null}} in {source}, got something else; correct the file.",
    )


def _check_known(names: Sequence[str] | Mapping[str, str], *, known: Sequence[str], source: str, whose: str) -> None:
    unknown = [name for name in names if name not in known]
    if not unknown:
        return
    mistakes = []
    for name in unknown[:MAX_MISTAKES]:
        near = get_close_matches(name.casefold(), known, n=1)
        mistakes.append(f"{name[:60]!r}{f' (did you mean {near[0]!r}?)' if near else ''}")
    more = f" and {len(unknown) - MAX_MISTAKES} more" if len(unknown) > MAX_MISTAKES else ""
    raise UserError(
        "wrong-classes",
        f"Expected {source} to name classes that {whose} ({', '.join(known[:4])}, …), got {', '.join(mistakes)}{more}; "
        "correct the file.",
    )
