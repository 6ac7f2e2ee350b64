"""Which weights are meant where none are named; apart, since the command line shows it before torch is loaded."""

DEFAULT_WEIGHTS = "everyday"
"""A checkpoint that ships with the project, see `ecenet/inference/weights.py`."""
