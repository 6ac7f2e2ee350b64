"""Scripts, styles and pictures of the page, installed with the package."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"


def read_static(name: str) -> str:
    """Return the text of a script or style sheet."""
    return (STATIC / name).read_text(encoding="utf-8")
