"""Peak memory of a forward pass: CUDA's counter, or on CPUs the growth of a new process's resident memory."""

import gc
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ecenet.common.child_env import child_environment
from ecenet.studies.benchmarks.options import BackboneName
from ecenet.studies.benchmarks.peer_networks import Candidate, Setting, backbone_setting, build_peer

STATUS = Path("/proc/self/status")
"""Linux file with the resident memory of the process."""
WARM_UP_SIDE = 64
"""Size of the warm-up image, which loads libraries before the peak is measured."""


@dataclass(frozen=True)
class Ask:
    """A measurement for a separate process."""

    backbone: BackboneName
    candidate: Candidate
    part: Literal["network", "backbone"]
    size: tuple[int, int]
    """(H, W) in pixels."""
    classes: int
    batches: tuple[int, ...]
    half: bool
    threads: int


@dataclass(frozen=True)
class Memory:
    """Results of a measurement, in bytes."""

    weights: int
    peaks: dict[int, int]
    """Peak by batch size: weights plus the maximum of a pass, without its images. Sizes that failed are missing."""
    failure: str | None
    """Why a size is missing."""


def forward(run: Callable[[Tensor], object], images: Tensor, *, half: bool) -> object:
    """One pass as in the app's predictor: without gradients, with bf16 autocast if `half`."""
    with torch.inference_mode(), torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
        return run(images)


def noise(batch: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """(B, 3, H, W) random images in channels-last memory format, as in the predictor."""
    return torch.randn(batch, 3, *size, device=device).contiguous(memory_format=torch.channels_last)


def weight_bytes(network: nn.Module) -> int:
    """Size of parameters and buffers in bytes."""
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


def peak_on_cuda(run: Callable[[], object], *, device: torch.device, weights: int) -> int:
    """Peak allocation of a pass in bytes, relative to the current allocation, plus the weights."""
    run()  # warm-up: libraries allocate workspaces in the first pass
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before + weights


def can_measure_cpu() -> bool:
    """Whether the system reports the peak resident memory and lets a process reset its own."""
    return STATUS.is_file() and Path("/proc/self/clear_refs").is_file()


def free_bytes() -> int:
    """Memory available to a process, in bytes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def peaks_on_cpu(ask: Ask) -> Memory:
    """Measure all batch sizes in a new process, smallest first."""
    ask = replace(ask, batches=tuple(sorted(ask.batches)))
    command = [sys.executable, "-m", "ecenet.studies.benchmarks.peer_memory", json.dumps(asdict(ask))]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    failure = None
    if done.returncode == -signal.SIGKILL:
        failure = "not enough memory"
    elif done.returncode:
        failure = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    weights = answers[0]["weights"] if answers else 0
    return Memory(weights, {answer["batch"]: answer["peak"] for answer in answers[1:]}, failure)


def answer(ask: Ask, setting: Setting) -> None:
    """Main function of the separate process: print the size of the weights, then the peak of each batch size, as lines
    of JSON."""
    torch.set_num_threads(ask.threads)
    device = torch.device("cpu")
    # Memory of code loaded meanwhile (libraries, kernels) does not count.
    with torch.device("meta"):
        build_peer(ask.candidate, setting, classes=ask.classes)
    forward(torch.nn.Conv2d(3, 8, 3), noise(1, (WARM_UP_SIDE, WARM_UP_SIDE), device), half=ask.half)
    gc.collect()
    before = _resident("VmRSS") - _resident("RssFile")
    peer = build_peer(ask.candidate, setting, classes=ask.classes)
    run: Callable[[Tensor], object] = peer.scores
    weights = weight_bytes(peer.network)
    if ask.part == "backbone":
        run, weights = peer.backbone, weight_bytes(peer.backbone)
        del peer
        gc.collect()
    print(json.dumps({"weights": weights}), flush=True)
    for batch in ask.batches:
        images = noise(batch, ask.size, device)
        forward(run, noise(1, (WARM_UP_SIDE, WARM_UP_SIDE), device), half=ask.half)
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current value
        forward(run, images, half=ask.half)
        # File-backed pages are code, which the system can drop.
        peak = _resident("VmHWM") - _resident("RssFile") - before - images.nbytes
        print(json.dumps({"batch": batch, "peak": peak}), flush=True)


def _resident(entry: str) -> int:
    """An entry of that file in bytes."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:"))


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    answer(Ask(**asked), backbone_setting(asked["backbone"]))
