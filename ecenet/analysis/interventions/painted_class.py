"""A class that somebody painted, and the small file that keeps it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ecenet.common.errors import UserError
from ecenet.common.files import replaced
from ecenet.model.edits import AddedClass

FORMAT = "1"
"""Of the file; a change of what it holds is another one."""
BACKBONE: Literal["backbone"] = "backbone"
"""Method of a class that the backbone's features find, see `backbone_class`."""
MAX_BYTES = 10_000_000
"""Far more than any class needs; larger files are not read."""
MAX_PROTOTYPES = 16
"""Embeddings of one class at most."""
PAINTED_COLORS = ((255, 26, 204), (153, 230, 102), (153, 255, 255), (230, 255, 26), (230, 128, 76))
"""Of painted classes, in turn: every reader can tell them from those of the weights that ship."""


@dataclass(frozen=True, eq=False)
class PaintedClass:
    """A class of one model. M embeddings, D embedding width."""

    name: str
    color: tuple[int, int, int]
    """RGB, 0 … 255."""
    method: str
    """How it was made: mean, pyramid or prototypes; or backbone, and then the head knows nothing of it."""
    embeddings: np.ndarray
    """(M, D) float32, as E_0; several act as one class. Of the method backbone (2, C) features of its deepest stage:
    prototypes of the class and of what is to be told from it."""
    weights_hash: str
    """Of the model that made it: to others the numbers mean nothing."""
    enlarged: bool = False
    """A region was smaller than a cell and stands for all of the cells that it touches."""

    @property
    def in_head(self) -> bool:
        """Whether it joins the head's classes, as an embedding."""
        return self.method != BACKBONE

    @property
    def added(self) -> AddedClass:
        """For `HeadEdits.added`, of a class in the head."""
        assert self.in_head, "its numbers are no embeddings"
        return AddedClass(self.name, self.color, torch.from_numpy(self.embeddings))


def with_class(
    classes: Sequence[PaintedClass], painted: PaintedClass, *, known: Sequence[str]
) -> tuple[PaintedClass, ...]:
    """One more class, in a colour that no other painted one has, or anew under the same name.

    Args:
        known: names of the model's own classes.
    Raises:
        UserError: the model has a class of that name.
    """
    if painted.name in known:
        raise UserError(
            "name-taken", f"Expected a name that the model does not know, got {painted.name!r}; choose another."
        )
    kept = tuple(one for one in classes if one.name != painted.name)
    taken = {one.color for one in kept}
    free = next((color for color in PAINTED_COLORS if color not in taken), painted.color)
    return (*kept, replace(painted, color=free if painted.color in taken else painted.color))


def save_class(painted: PaintedClass, path: Path) -> None:
    """Write a safetensors file: the tensor `embeddings`, and what else is known as its metadata. As of `load_class`,
    messages name the file alone.

    The folder must be there; what a disk refuses is raised as it comes.
    """
    about = {
        "format": FORMAT,
        "name": painted.name,
        "color": json.dumps(painted.color),
        "method": painted.method,
        "weights_hash": painted.weights_hash,
        "enlarged": json.dumps(painted.enlarged),
    }
    with replaced(path) as partial:
        save_file({"embeddings": np.ascontiguousarray(painted.embeddings, dtype=np.float32)}, partial, metadata=about)


def load_class(path: Path, *, weights_hash: str) -> PaintedClass:
    """Read what `save_class` wrote. Messages name the file alone: where a server keeps an upload is nobody's business.

    Args:
        weights_hash: of the model that is to use the class.
    Raises:
        UserError: the file is none of these, is damaged, or was made with other weights.
    """
    painted = _read(path)
    if painted.weights_hash != weights_hash:
        raise UserError(
            "wrong-weights",
            f"Expected a class of the weights in use ({weights_hash}), but {path.name} was painted with others "
            f"({painted.weights_hash}); paint it again or choose those weights.",
            expected=weights_hash,
            got=painted.weights_hash,
        )
    return painted


def _read(path: Path) -> PaintedClass:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES // 1_000_000} MB")
        with safe_open(path, framework="numpy") as file:
            about, embeddings = file.metadata() or {}, file.get_tensor("embeddings")
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format'][:20]}")
        red, green, blue = tuple(json.loads(about["color"]))
        painted = PaintedClass(
            name=about["name"],
            color=(red, green, blue),
            method=about["method"],
            embeddings=embeddings,
            weights_hash=about["weights_hash"],
            enlarged=json.loads(about["enlarged"]) is True,
        )
    except KeyError as error:
        raise _no_class(path, f"it lacks {error.args[0]}") from error
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:  # brackets can nest too deep
        raise _no_class(path, " ".join(str(error).replace(str(path), path.name).split())[:120]) from error
    if not painted.name.strip() or not all(type(value) is int and 0 <= value <= 255 for value in painted.color):
        raise _no_class(path, "its name or colour is none")
    if (
        embeddings.dtype != np.float32
        or embeddings.ndim != 2
        or not 0 < len(embeddings) <= MAX_PROTOTYPES
        or not np.isfinite(embeddings).all()
    ):
        raise _no_class(path, f"its embeddings are not 1 … {MAX_PROTOTYPES} rows of finite numbers")
    return painted


def _no_class(path: Path, reason: str) -> UserError:
    return UserError(
        "wrong-file", f"Expected a class that was saved here, but {path.name} is none ({reason}); choose another file."
    )
