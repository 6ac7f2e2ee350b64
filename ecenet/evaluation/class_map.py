"""Scores across label spaces: which class of the data each class of the weights counts as."""

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
"""What answers are called that count as no class of the data."""
OUTSIDE_COLOR = [128, 128, 128]
MAX_MISTAKES = 5
"""Wrong names that one message lists."""


@dataclass(frozen=True, eq=False)
class ClassMap:
    """From the K classes of the weights to the D classes of the data."""

    class_names: list[str]
    """D names of the data's classes."""
    targets: np.ndarray
    """(K,) int64: the data's class that each of the weights' classes counts as; D for those that count as none."""
    content: dict[str, Any]
    """`classes` and `rest`, as the file has them."""

    @property
    def has_outside(self) -> bool:
        """Whether the map has no `rest`, so that an answer can be outside of it."""
        return self.content["rest"] is None

    @property
    def predicted_names(self) -> list[str]:
        """P names, in the order of the confusion's columns: the data's classes and, without `rest`, `OUTSIDE`."""
        return [*self.class_names, OUTSIDE] if self.has_outside else self.class_names

    @property
    def rest_index(self) -> int | None:
        """The data's class that all other classes of the weights count as; None without one."""
        return None if self.has_outside else self.class_names.index(self.content["rest"])

    @cached_property
    def _lookup(self) -> np.ndarray:
        """(256,) uint8; what is no class of the weights stays as it is."""
        table = np.arange(256, dtype=np.uint8)
        table[: len(self.targets)] = self.targets
        return table

    def apply(self, label_map: np.ndarray) -> np.ndarray:
        """(H, W) uint8 classes of the weights → (H, W) uint8 classes of the data, D where the answer is outside."""
        return self._lookup[label_map]


def read_class_map(path: Path, *, weights_names: Sequence[str], data_names: Sequence[str]) -> ClassMap:
    """Read `{"classes": {"class of the weights": "class of the data", …}, "rest": "class of the data" or null}`.

    Classes of the weights that `classes` does not name count as `rest`; without it, they count as wrong wherever they
    are predicted. Several may count as the same class.

    Raises:
        UserError: the file is missing or is no such JSON, or a name in it is none of the weights' or of the data's.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            "file-missing",
            f"Expected a class map in {path}, but there is no such file; `python -m ecenet map` proposes one.",
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
    """A map of this content, as for `read_class_map`, which has the errors, too.

    Args:
        source: what messages call it.
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
    """`classes` and `rest`, checked for their types."""
    if isinstance(content, Mapping) and set(content) <= {"classes", "rest"}:
        classes, rest = content.get("classes"), content.get("rest")
        texts = isinstance(classes, dict) and all(isinstance(text, str) for text in [*classes, *classes.values()])
        if isinstance(classes, dict) and texts and (rest is None or isinstance(rest, str)):
            return dict(classes), rest
    raise UserError(
        "wrong-file",
        f'Expected {{"classes": {{"class of the weights": "class of the data", …}}, "rest": "class of the data" or '
        f"null}} in {source}, but it holds something else; correct the file.",
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
