"""Conversion of minutes to steps, by measuring ten steps (`ecenet/training/jobs/timing.py`)."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from math import ceil

from ecenet.common.child_env import child_environment
from ecenet.common.errors import UserError
from ecenet.training.config import LONGEST_REST
from ecenet.training.jobs.timing import STEPS, StepTimes

PATIENCE = 600
"""Time limit for ten steps in seconds."""
LEAST_STEPS = 20
VALIDATING, MOST_VALIDATIONS = 0.2, 10
"""Maximum share of time for validations, and their maximum number."""


@dataclass(frozen=True)
class Measured:
    """Measured duration of the steps of a run."""

    words: tuple[str, ...]
    """Arguments of `python -m ecenet`."""
    times: StepTimes


@dataclass(frozen=True)
class Plan:
    """The length of a run."""

    steps: int
    validate_every: int
    seconds: float
    """Estimated duration."""

    @property
    def words(self) -> list[str]:
        return ["--steps", str(self.steps), "--validate-every", str(self.validate_every)]


def measure(words: list[str], *, nice: int) -> Measured:
    """Measure ten steps of the run `python -m ecenet WORDS` in a separate process.

    Args:
        nice: increment of the process's niceness.
    Raises:
        UserError: the run fails, or a step takes more than a minute.
    """
    began = time.perf_counter()
    try:
        done = subprocess.run(
            ["nice", "-n", str(nice), sys.executable, "-m", "ecenet.training.jobs.timing", *words],
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(
            "training-failed",
            f"Expected ten steps within {PATIENCE // 60} minutes, but they take longer here; choose a smaller batch or "
            "crop, or start from smaller weights.",
        ) from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        begin = max((number for number, line in enumerate(lines) if line.startswith("Error: ")), default=-1)
        problem = " ".join(lines[begin:]).removeprefix("Error: ")[:600]
        raise UserError(
            "training-failed",
            problem or "The process ended without a message, probably out of memory; choose a smaller batch.",
        )
    times = StepTimes(**json.loads(done.stdout.splitlines()[-1]))
    inside = STEPS // 2 * (times.resting + times.whole)
    return Measured(tuple(words), replace(times, begin=max(times.begin, time.perf_counter() - began - inside)))


def plan(times: StepTimes, minutes: float) -> Plan:
    """Compute how many steps fit into the minutes, with validations taking at most a fifth of the time."""
    left = max(60 * minutes - times.begin, 0)
    validations = max(1, min(MOST_VALIDATIONS, int(VALIDATING * left / times.validation)))
    left = max(left - validations * times.validation, 0)
    steps = int(2 * left / (times.resting + times.whole))
    if steps > 2 * LONGEST_REST:  # the backbone is frozen for at most LONGEST_REST steps
        steps = LONGEST_REST + int((left - LONGEST_REST * times.resting) / times.whole)
    steps = max(steps, LEAST_STEPS)
    rest = min(steps // 2, LONGEST_REST)
    seconds = times.begin + rest * times.resting + (steps - rest) * times.whole + validations * times.validation
    return Plan(steps, ceil(steps / validations), seconds)
