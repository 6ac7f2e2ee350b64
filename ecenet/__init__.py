"""ECENet, how it sees, and a page to look at both."""

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
"""The only place that says it: pyproject.toml, the page's footer, /health and the log read it here."""

# Torch's threads spin for about a millisecond when they wait for each other. Beside another busy process every wait
# then costs a turn of the scheduler: on two cores a training and predictions slowed each other down 8 and 57 times,
# with this not even twice. A process alone loses at most a twentieth. libgomp reads it once, as torch is loaded.
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
    """Import the public names on first use, so that `ecenet --help` does not wait for PyTorch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
