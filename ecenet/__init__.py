"""ECENet, how it sees, and a page to look at both."""

import os

__version__ = "0.1.0"
"""The only place that says it: pyproject.toml, the page's footer, /health and the log read it here."""

# Torch's threads spin for about a millisecond when they wait for each other. Beside another busy process every wait
# then costs a turn of the scheduler: on two cores a training and predictions slowed each other down 8 and 57 times,
# with this not even twice. A process alone loses at most a twentieth. libgomp reads it once, as torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
