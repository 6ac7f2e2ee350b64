"""Facts about the machine of a measurement: command, date, hardware and versions."""

import os
import platform
import shlex
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "timm", "segmentation-models-pytorch", "transformers")


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Return `command`, `date` (UTC), `device`, `machine`, `threads` and `versions` of this process as JSON values."""
    return {
        "command": shlex.join(["python", "-m", "ecenet", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "device": device.type,
        "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _processor() -> str:
    """Return the processor's name (on Linux), the number of usable cores, and its bf16 instruction sets."""
    names = [platform.machine()]
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text().splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("model name")][:1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    native = [name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name, False)]
    return ", ".join([*names, f"{cores} cores", *native])


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
