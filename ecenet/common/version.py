"""Version and commit of the code."""

import os
import subprocess
from pathlib import Path

from ecenet import __version__


def commit() -> str | None:
    """Return the git commit of the code, with the suffix `-dirty` if files differ from it, or None outside a checkout.

    The environment variable `ECENET_COMMIT` takes precedence; container images set it.
    """
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
    """Return the version and, if known, the commit."""
    known = commit()
    return f"ECENet Explorer {__version__}" + (f" ({known})" if known else "")
