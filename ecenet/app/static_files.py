"""Scripts, styles and pictures of the page, which are installed with the package."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"


def read_static(name: str) -> str:
    """Text of a script or style."""
    return (STATIC / name).read_text(encoding="utf-8")
