"""Which code this is."""

import os
import subprocess
from pathlib import Path

from ecenet import __version__


def commit() -> str | None:
    """Of the code that runs, with a mark where it differs from it; None outside a git checkout. An image of a container
    has no checkout: there `ECENET_COMMIT` tells it."""
    if told := os.environ.get("ECENET_COMMIT"):
        return told
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # an installed package may lie within somebody else's checkout
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def version_line() -> str:
    """Version and, where it is known, commit."""
    known = commit()
    return f"ECENet Explorer {__version__}" + (f" ({known})" if known else "")
