"""The default weights. A module of its own, since the command line shows them before torch is loaded."""

DEFAULT_WEIGHTS = "everyday"
"""A checkpoint that is included in the package, see `ecenet/inference/weights.py`."""
