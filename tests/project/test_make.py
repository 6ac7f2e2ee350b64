"""The Makefile's own scripts, which no other test starts."""

import runpy
import subprocess
import sys

import pytest

from tests.support.web.browsing import ROOT


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("target", ["first-paint", "fuzz", "map-speed", "pictures", "soak"])
def test_a_script_starts(target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planned = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
    (command,) = [line for line in planned.stdout.splitlines() if "-m tests.tools." in line]
    module = command.split("-m ")[-1].split()[0]
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out
