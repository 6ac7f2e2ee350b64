"""Peak memory of one forward pass: CUDA's own counter, or on CPUs what a fresh process gains in resident memory."""

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
"""Where Linux tells a process how much memory it has resident."""
WARM_UP_SIDE = 64
"""Of an image that loads what a first pass loads, before the peak counts."""


@dataclass(frozen=True)
class Ask:
    """What a process of its own is to measure."""

    backbone: BackboneName
    candidate: Candidate
    part: Literal["network", "backbone"]
    size: tuple[int, int]
    """(H, W)."""
    classes: int
    batches: tuple[int, ...]
    half: bool
    threads: int


@dataclass(frozen=True)
class Memory:
    """What it measured, in bytes."""

    weights: int
    peaks: dict[int, int]
    """By batch size: weights and the most that a pass holds at once beside its images. A size that the process did not
    survive is missing."""
    failure: str | None
    """Why one is missing."""


def forward(run: Callable[[Tensor], object], images: Tensor, *, half: bool) -> object:
    """One pass as the app's predictor makes it: without gradients, under bf16 autocast where `half`."""
    with torch.inference_mode(), torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
        return run(images)


def noise(batch: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """(B, 3, H, W), channels last in memory as the predictor has images."""
    return torch.randn(batch, 3, *size, device=device).contiguous(memory_format=torch.channels_last)


def weight_bytes(network: nn.Module) -> int:
    """Parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


def peak_on_cuda(run: Callable[[], object], *, device: torch.device, weights: int) -> int:
    """Bytes that a pass allocates at most beside what lies there already, and the weights that it needs."""
    run()  # libraries allocate workspaces in the first pass, for all that follow
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before + weights


def can_measure_cpu() -> bool:
    """Whether this system tells peaks of resident memory, and lets a process set its own back."""
    return STATUS.is_file() and Path("/proc/self/clear_refs").is_file()


def free_bytes() -> int:
    """That a process can take before others have to give way."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def peaks_on_cpu(ask: Ask) -> Memory:
    """Measure in a fresh process, one batch size after the other, the smallest first."""
    ask = replace(ask, batches=tuple(sorted(ask.batches)))
    command = [sys.executable, "-m", "ecenet.studies.benchmarks.peer_memory", json.dumps(asdict(ask))]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    failure = None
    if done.returncode == -signal.SIGKILL:
        failure = "more memory than there is"
    elif done.returncode:
        failure = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    weights = answers[0]["weights"] if answers else 0
    return Memory(weights, {answer["batch"]: answer["peak"] for answer in answers[1:]}, failure)


def answer(ask: Ask, setting: Setting) -> None:
    """In the process of its own: print the weights' bytes, then each batch size's peak, a line of JSON each."""
    torch.set_num_threads(ask.threads)
    device = torch.device("cpu")
    # Code that is loaded on the way (the peer's library, the kernels) is not the network's memory.
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
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is resident now
        forward(run, images, half=ask.half)
        # Pages of files are code; they are the system's to drop.
        peak = _resident("VmHWM") - _resident("RssFile") - before - images.nbytes
        print(json.dumps({"batch": batch, "peak": peak}), flush=True)


def _resident(entry: str) -> int:
    """Bytes."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:"))


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    answer(Ask(**asked), backbone_setting(asked["backbone"]))
