"""Checkpoints of mmsegmentation 0.x: tensors, and what they say of how they were made. Nothing in them is executed.

Such a file holds `state_dict` and `meta`; of the latter only the class names and the configuration are looked at.
"""

import ast
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ecenet.common.errors import UserError

NUMPY_SCALAR = np.float64(0).__reduce__()[0]
"""What numpy makes its numbers with when they are read."""
PLAIN_NUMBERS: list[Any] = [
    *((NUMPY_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # before numpy 2, and since
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
]
"""What mmcv may note scores as."""


class Published(NamedTuple):
    """A checkpoint as it lies on the disk."""

    file: str
    """Its name, for messages."""
    tensors: dict[str, Tensor]
    config: dict[str, Any]
    """What its `meta` says of how it was made; empty where it says nothing."""
    class_names: list[str]
    """From `meta`; empty where it names none."""


def read_published(path: Path) -> Published:
    """Load a checkpoint's tensors and plain values; nothing in it is executed.

    Raises:
        UserError: there is no such file, it is damaged, or it holds other Python objects.
    """
    try:
        with torch.serialization.safe_globals(PLAIN_NUMBERS):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        if foreign is None:
            raise _damaged(path, error) from error
        raise UserError(
            "file-unsafe",
            f"Expected tensors and plain values alone in {path}, but it holds a Python object ({foreign[1]}), which "
            "could run code when it is read; have its state_dict alone saved by someone you trust.",
        ) from error
    except Exception as error:  # on damaged files torch raises almost anything
        raise _damaged(path, error) from error
    stored = stored if isinstance(stored, dict) else {}
    tensors = stored.get("state_dict", stored)
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(one, Tensor) for one in tensors.values()):
        raise UserError(
            "wrong-file",
            f"Expected tensors by name, as state_dict or alone, in {path}, but it holds something else; "
            "give the checkpoint of a trained network.",
        )
    meta = stored.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    names = meta.get("CLASSES")
    return Published(
        path.name,
        {str(name): tensor for name, tensor in tensors.items()},
        parse_config(meta.get("config")),
        [str(name).strip() for name in names] if isinstance(names, (list, tuple)) else [],
    )


def _damaged(path: Path, error: Exception) -> UserError:
    missing = isinstance(error, FileNotFoundError)
    reason = "there is no such file" if missing else "it cannot be read as one"
    return UserError(
        "file-missing" if missing else "file-damaged",
        f"Expected a PyTorch checkpoint in {path}, but {reason}; check the path or download it again.",
    )


def parse_config(text: object) -> dict[str, Any]:
    """An mmcv configuration, `name = dict(key=value, …)` line after line, as values. It is read, not run.

    Returns: what could be read as values; empty where it is no such text.
    """
    try:
        lines = ast.parse(text).body if isinstance(text, str) else []
        return {
            line.targets[0].id: _value(line.value)
            for line in lines
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two where brackets nest too deep
        return {}


def _value(node: ast.expr) -> Any:
    """A constant, a list, or a `dict(…)` of them; None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(one) for one in node.elts]
    return node.value if isinstance(node, ast.Constant) else None


def stated(published: Published, *path: str, kind: type) -> Any:
    """A value of the checkpoint's own configuration, such as `"model", "backbone", "out_indices"`; None where there
    is none of that kind."""
    value: Any = published.config
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if type(value) is kind else None
