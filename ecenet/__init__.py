"""ECENet, how it sees, and a page to look at both."""

__version__ = "0.1.0"
"""The only place that says it: pyproject.toml, the page's footer, /health and the log read it here."""
