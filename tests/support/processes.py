"""Trainings in processes of their own, as people run them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
TINY = {
    "pretrained": False,
    "embed-dim": 8,
    "image-size": 64,
    "crop-size": 32,
    "batch-size": 4,
    "frozen-steps": 4,
    "warmup-steps": 2,
    "precision": "fp32",
    "workers": 1,
}


def arguments(data: Path, out: Path, **options: Any) -> list[str]:
    """`train --data … --out …` with options small enough for a test; `_` stands for `-`."""
    words = ["train", "--data", str(data), "--out", str(out)]
    for name, value in (TINY | {key.replace("_", "-"): value for key, value in options.items()}).items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", str(value)]
    return words


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from ecenet.__main__ import main
sys.exit(main())
"""


def start(
    words: list[str], *, launcher: tuple[str, ...] = (), max_file_bytes: int | None = None
) -> "subprocess.Popen[str]":
    """`python -m ecenet …`, or the same through a launcher of modules, or where no file may grow beyond a size."""
    command = [sys.executable, "-m", "ecenet", *words]
    if launcher:
        command = [*launcher, "-m", "ecenet", *words]
    if max_file_bytes is not None:
        command = [sys.executable, "-c", LIMITED, str(max_file_bytes), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    environment.pop("PYTHONUNBUFFERED", None)  # output is as most people have it
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process: "subprocess.Popen[str]", *, code: int = 0) -> str:
    """Wait for the end; what it printed is shown where it ends otherwise than expected."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output[-3000:]
    return output
