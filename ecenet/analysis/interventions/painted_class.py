"""Painted classes and their file format."""

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
"""Version of the file format; changes with its content."""
BACKBONE: Literal["backbone"] = "backbone"
"""Method of classes that are found with backbone features, see `backbone_class`."""
MAX_BYTES = 10_000_000
"""Maximum size of a file; far more than any class needs."""
MAX_PROTOTYPES = 16
"""Maximum number of embeddings of a class."""
PAINTED_COLORS = ((255, 26, 204), (153, 230, 102), (153, 255, 255), (230, 255, 26), (230, 128, 76))
"""Colours of painted classes, in order; they are distinguishable from those of the included weights, also for
colour-blind users."""


@dataclass(frozen=True, eq=False)
class PaintedClass:
    """A painted class for one model, with M embeddings of width D."""

    name: str
    color: tuple[int, int, int]
    """RGB, 0 … 255."""
    method: str
    """How it was made: mean, pyramid or prototypes (in the head), or backbone (outside the head)."""
    embeddings: np.ndarray
    """(M, D) float32 embeddings for E_0; several act as one class. With the method backbone, (2, C) prototypes of the
    class and of the rest in the features of the deepest stage."""
    weights_hash: str
    """Hash of the weights that made it; it cannot be used with others."""
    enlarged: bool = False
    """Whether a region was smaller than a cell and was extended to all cells that it touches."""

    @property
    def in_head(self) -> bool:
        """Whether it is added to the classes of the head, as embeddings."""
        return self.method != BACKBONE

    @property
    def added(self) -> AddedClass:
        """The class for `HeadEdits.added`; only for classes in the head."""
        assert self.in_head, "a backbone class has no embeddings"
        return AddedClass(self.name, self.color, torch.from_numpy(self.embeddings))


def with_class(
    classes: Sequence[PaintedClass], painted: PaintedClass, *, known: Sequence[str]
) -> tuple[PaintedClass, ...]:
    """Add a class with an unused colour, or replace the class of the same name.

    Args:
        known: class names of the model.
    Raises:
        UserError: the model has a class with that name.
    """
    if painted.name in known:
        raise UserError(
            "name-taken", f"Expected a name that is not a class of the model, got {painted.name!r}; choose another."
        )
    kept = tuple(one for one in classes if one.name != painted.name)
    taken = {one.color for one in kept}
    free = next((color for color in PAINTED_COLORS if color not in taken), painted.color)
    return (*kept, replace(painted, color=free if painted.color in taken else painted.color))


def save_class(painted: PaintedClass, path: Path) -> None:
    """Write a safetensors file with the tensor `embeddings` and all other fields as metadata.

    The folder must exist; errors of the file system are not converted.
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
    """Read a file that `save_class` wrote. Messages contain only the file's name, not where the server stores it.

    Args:
        weights_hash: hash of the weights to use the class with.
    Raises:
        UserError: the file is not a painted class, is damaged, or was made with other weights.
    """
    painted = _read(path)
    if painted.weights_hash != weights_hash:
        raise UserError(
            "wrong-weights",
            f"Expected a class for the weights in use ({weights_hash}), but {path.name} was painted with other weights "
            f"({painted.weights_hash}); paint it again or choose those weights.",
            expected=weights_hash,
            got=painted.weights_hash,
        )
    return painted


def _read(path: Path) -> PaintedClass:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES // 1_000_000} MB")
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
        raise _no_class(path, "its name or colour is invalid")
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
        "wrong-file", f"Expected a class saved by this app, but {path.name} is not one ({reason}); choose another file."
    )
