"""The Makefile's own scripts, which no other test starts as `make` does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.web.browsing import ROOT


@pytest.mark.parametrize("target", ["first-paint", "fuzz", "map-speed", "pictures", "soak"])
def test_a_script_starts(target: str) -> None:
    variables = f"BIN={Path(sys.executable).parent}"
    planned = subprocess.run(
        ["make", "--dry-run", target, variables], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (command,) = [line for line in planned.stdout.splitlines() if "-m tests.tools." in line]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    started = subprocess.run(
        f"{command} --help", shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    assert "usage" in started.stdout
