"""What a process needs from the one that starts it."""

import os
from pathlib import Path


def child_environment(**variables: str) -> dict[str, str]:
    """This process's variables and `variables`, where `python -m ecenet…` finds this package from any directory."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | variables
