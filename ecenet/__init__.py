"""ECENet for semantic segmentation, tools to analyse it, and an app to explore it."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecenet.analysis.diagnostics.comparison import compare
    from ecenet.analysis.interventions.painting import paint_class
    from ecenet.common.errors import UserError
    from ecenet.inference.predictor import Predictor
    from ecenet.model.edits import HeadEdits

__version__ = "0.2.0"
"""The single source of the version; pyproject.toml, the page's footer, /health and the log read it."""

# Torch's threads spin for about a millisecond while they wait for each other. Beside another busy process, each wait
# then costs a time slice of the scheduler: on two cores, a training and predictions slowed each other down 8 and 57
# times; with this setting, less than twice. A single process loses at most 5 %. libgomp reads it once, when torch
# loads.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = ["HeadEdits", "Predictor", "UserError", "compare", "paint_class"]
_HOMES = {
    "HeadEdits": "ecenet.model.edits",
    "Predictor": "ecenet.inference.predictor",
    "UserError": "ecenet.common.errors",
    "compare": "ecenet.analysis.diagnostics.comparison",
    "paint_class": "ecenet.analysis.interventions.painting",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `ecenet --help` does not wait for PyTorch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
