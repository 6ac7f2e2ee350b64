"""The environment of child processes."""

import os
from pathlib import Path


def child_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with `variables` added, in which `python -m ecenet` works in any folder."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | variables
