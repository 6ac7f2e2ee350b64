"""Reading of mmsegmentation 0.x checkpoints without executing code in them.

Such a file contains `state_dict` and `meta`, of which only the class names and the configuration are used.
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
"""NumPy's function for unpickling numbers."""
PLAIN_NUMBERS: list[Any] = [
    *((NUMPY_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # before numpy 2, and since
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
]
"""Types of scores that mmcv may store."""


class Published(NamedTuple):
    """The content of a published checkpoint."""

    file: str
    """Name of the file, for messages."""
    tensors: dict[str, Tensor]
    config: dict[str, Any]
    """Configuration in `meta`, or empty."""
    class_names: list[str]
    """Class names in `meta`, or empty."""


def read_published(path: Path) -> Published:
    """Load the tensors and plain values of a checkpoint; nothing in it is executed.

    Raises:
        UserError: the file does not exist, is damaged, or contains other Python objects.
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
            f"Expected only tensors and plain values in {path}, but it contains a Python object ({foreign[1]}), which "
            "could run code when it is read; ask someone you trust to save its state_dict only.",
        ) from error
    except Exception as error:  # torch raises many exceptions for damaged files
        raise _damaged(path, error) from error
    stored = stored if isinstance(stored, dict) else {}
    tensors = stored.get("state_dict", stored)
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(one, Tensor) for one in tensors.values()):
        raise UserError(
            "wrong-file",
            f"Expected tensors by name, in a state_dict or directly, in {path}, but it has other content; "
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
    """Parse the values of an mmcv configuration, lines of `name = dict(key=value, …)`, without executing it.

    Returns: the values that could be parsed; empty for other text.
    """
    try:
        lines = ast.parse(text).body if isinstance(text, str) else []
        return {
            line.targets[0].id: _value(line.value)
            for line in lines
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two for deeply nested brackets
        return {}


def _value(node: ast.expr) -> Any:
    """Return the value of a constant, a list, or a `dict(…)`; None for other expressions."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(one) for one in node.elts]
    return node.value if isinstance(node, ast.Constant) else None


def stated(published: Published, *path: str, kind: type) -> Any:
    """Return a value of the checkpoint's configuration, such as `"model", "backbone", "out_indices"`, or None if there
    is no value of that type."""
    value: Any = published.config
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if type(value) is kind else None
