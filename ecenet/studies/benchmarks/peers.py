"""Compare the speed of ECENet with other networks on the same backbone, and with the bare backbone (the lower limit).

Each round times all networks in turn, so that slowdowns of the machine affect all of them equally. The ratio to the
bare backbone is the median over rounds of the ratio within a round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ecenet.common.errors import UserError
from ecenet.common.machine import machine_facts
from ecenet.inference.predictor import bf16_is_fast
from ecenet.studies.benchmarks.options import PeerOptions
from ecenet.studies.benchmarks.peer_memory import (
    Ask,
    Memory,
    can_measure_cpu,
    forward,
    free_bytes,
    noise,
    peak_on_cuda,
    peaks_on_cpu,
    weight_bytes,
)
from ecenet.studies.benchmarks.peer_networks import (
    Candidate,
    Peer,
    Setting,
    backbone_setting,
    build_peer,
    checked_candidates,
    reason_against,
    stands_on,
)
from ecenet.studies.benchmarks.single import WARM_UP_ROUNDS, count_gigaflops, ratio_quartiles, round_seconds
from ecenet.training.config import HALF

SIZE_DIVISOR = 32
"""Image sides must be multiples of this for all networks."""


@dataclass(frozen=True)
class Conditions:
    """Settings shared by all networks of a run."""

    setting: Setting
    candidates: list[Candidate]
    size: tuple[int, int]
    """(H, W) of images in pixels."""
    classes: int
    batches: tuple[int, ...]
    rounds: int
    device: torch.device
    half: bool


class Entry(NamedTuple):
    """Something to time: a candidate's network, or a bare backbone."""

    name: str
    candidate: Candidate
    part: Literal["network", "backbone"]
    backbone: str
    """Name of the network's bare backbone; its own name if it is one."""


class Timed(NamedTuple):
    """An entry with its network."""

    entry: Entry
    module: nn.Module
    run: Callable[[Tensor], Any]
    """Computes class scores, or a bare backbone's features, from (B, 3, H, W) images."""


def benchmark_peers(options: PeerOptions) -> dict[str, Any]:
    """Measure operations, memory and time of every candidate.

    Returns: a dictionary for JSON: `rows`, bare backbones first; `not_run`, candidates that are not available on this
        backbone, with the reason; and the measurement conditions. A row's `batches` has for each batch size
        `milliseconds` (median), `images_per_second`, `ratio` (quartiles of the ratio to its backbone; null for a
        backbone) and `peak_megabytes` (null if not measured), or the reason in `failed`.
    Raises:
        UserError: an option is out of range, a library is not installed, or there is too little memory for all networks
            at once.
    """
    at = conditions(options)
    memory = {}
    if options.memory and at.device.type == "cpu" and can_measure_cpu():
        memory = measured_memory(options, at)
        # Bare backbones are parts of networks and need no extra memory.
        check_room([memory[name] for name in at.candidates if name in memory], free=free_bytes())
    return {
        "backbone": options.backbone,
        "size": list(at.size),
        "classes": at.classes,
        "precision": "bf16" if at.half else "fp32",
        "rounds": at.rounds,
        **machine_facts(at.device),
        **measure(at, memory=memory),
    }


def conditions(options: PeerOptions) -> Conditions:
    """Validate the options and fill in defaults.

    Raises:
        UserError: an option is out of range.
    """
    setting = backbone_setting(options.backbone)
    size = options.size or setting.size
    classes = setting.classes if options.classes is None else options.classes
    for name, fits, wanted, value in (
        ("--size", min(size) > 0 and not any(side % SIZE_DIVISOR for side in size), "multiples of 32", size),
        ("--classes", classes >= 2, "at least 2", classes),
        ("--batch", bool(options.batch) and min(options.batch, default=0) >= 1, "sizes of at least 1", options.batch),
        ("--rounds", options.rounds >= 1, "at least 1", options.rounds),
        ("--threads", options.threads is None or options.threads >= 1, "at least 1", options.threads),
    ):
        if not fits:
            raise UserError("out-of-range", f"Expected {name} to be {wanted}, got {value}; correct the option.")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("gpu-missing", "Expected a GPU for --device cuda, but PyTorch finds none; omit the option.")
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    half = HALF[options.precision]
    return Conditions(
        setting=setting,
        candidates=checked_candidates(options.candidates),
        size=size,
        classes=classes,
        batches=options.batch,
        rounds=options.rounds,
        device=device,
        half=bf16_is_fast(device) if half is None else half,
    )


def entries(at: Conditions) -> list[Entry]:
    """The bare backbones, each once, then the candidates that are available on this backbone."""
    bare: dict[str, Entry] = {}
    networks = []
    for candidate in at.candidates:
        if reason_against(candidate, at.setting) is None:
            backbone = stands_on(candidate, at.setting)
            bare.setdefault(backbone, Entry(backbone, candidate, "backbone", backbone))
            networks.append(Entry(candidate, candidate, "network", backbone))
    return [*bare.values(), *networks]


def measured_memory(options: PeerOptions, at: Conditions) -> dict[str, Memory]:
    """CPU memory of every entry, by name."""
    memory = {}
    for one in tqdm(entries(at), desc="Measuring memory", unit="network", leave=False):
        ask = Ask(
            backbone=options.backbone,
            candidate=one.candidate,
            part=one.part,
            size=at.size,
            classes=at.classes,
            batches=at.batches,
            half=at.half,
            threads=torch.get_num_threads(),
        )
        memory[one.name] = peaks_on_cpu(ask)
    return memory


def check_room(memory: Sequence[Memory], *, free: int) -> None:
    """Check that there is memory for all networks and one forward pass at the same time.

    Raises:
        UserError: there is not enough memory.
    """
    passes = max((peak - one.weights for one in memory for peak in one.peaks.values()), default=0)
    needed = sum(one.weights for one in memory) + passes
    if needed > free:
        raise UserError(
            "out-of-memory",
            f"Expected {needed / 1e9:.1f} GB of memory for all networks at once, got {free / 1e9:.1f} GB; "
            "choose fewer --candidates or smaller --batch sizes.",
        )


def measure(at: Conditions, *, memory: dict[str, Memory]) -> dict[str, Any]:
    """Measure operations and time of every entry: `rows` and `not_run` of `benchmark_peers`.

    Args:
        memory: CPU measurements, if any; batch sizes that failed there are not timed.
    """
    field = _built(at)
    rows: list[dict[str, Any]] = [_counted(one, at) | {"batches": {}} for one in field]
    for batch in at.batches:
        figures = _timed(field, at, batch=batch, memory=memory)
        for row in rows:
            row["batches"][str(batch)] = figures[row["name"]]
    reasons = {name: reason_against(name, at.setting) for name in at.candidates}
    return {"rows": rows, "not_run": {name: reason for name, reason in reasons.items() if reason is not None}}


def _built(at: Conditions) -> list[Timed]:
    """Build every entry on the device. A bare backbone is shared with its first candidate, so it needs no memory.

    Raises:
        UserError: the GPU has too little memory for all of them.
    """
    peers: dict[Candidate, Peer] = {}
    field = []
    for one in entries(at):
        if one.candidate not in peers:
            peers[one.candidate] = build_peer(one.candidate, at.setting, classes=at.classes)
            try:
                peers[one.candidate].network.to(at.device)
            except torch.OutOfMemoryError as error:
                raise UserError(
                    "out-of-memory",
                    f"Expected enough GPU memory for all networks at once, but {one.candidate} does not fit; "
                    "choose fewer --candidates.",
                ) from error
        peer = peers[one.candidate]
        whole = one.part == "network"
        field.append(Timed(one, peer.network if whole else peer.backbone, peer.scores if whole else peer.backbone))
    return field


def _counted(one: Timed, at: Conditions) -> dict[str, Any]:
    """Values that do not depend on the batch size; `scores_stride` is the stride of the class scores in pixels."""
    images = noise(1, at.size, at.device)
    outputs: list[Any] = []
    gigaflops = count_gigaflops(lambda: outputs.append(one.run(images)))
    stride = None
    if one.entry.part == "network":
        scores = outputs[0]
        assert scores.shape[1] == at.classes, "one score per class"
        stride = at.size[0] // scores.shape[2]
    return {
        "name": one.entry.name,
        "backbone": one.entry.backbone,
        "parameters": sum(parameter.numel() for parameter in one.module.parameters()),
        "gigaflops": round(gigaflops, 3),
        "scores_stride": stride,
    }


def _timed(field: list[Timed], at: Conditions, *, batch: int, memory: dict[str, Memory]) -> dict[str, dict[str, Any]]:
    """Measurements of every entry at one batch size, by name."""
    images = noise(batch, at.size, at.device)
    calls: dict[str, Callable[[], object]] = {}
    peaks: dict[str, int | None] = {}
    figures: dict[str, dict[str, Any]] = {}
    for one in field:
        name = one.entry.name
        call = partial(forward, one.run, images, half=at.half)
        try:
            peaks[name] = _peak(call, one, at, batch=batch, memory=memory.get(name))
            calls[name] = call
        except RuntimeError as error:  # continue with the other networks
            figures[name] = {"failed": " ".join(str(error).split())[:120]}
    seconds = round_seconds(calls, rounds=at.rounds, warm_up=max(1, min(WARM_UP_ROUNDS, at.rounds // 5)))
    for one in field:
        name, backbone = one.entry.name, one.entry.backbone
        if name not in seconds:
            continue
        median = float(np.median(seconds[name]))
        peak = peaks[name]
        has_ratio = name != backbone and backbone in seconds
        figures[name] = {
            "milliseconds": round(median * 1000, 3),
            "images_per_second": round(batch / median, 3),
            "ratio": ratio_quartiles(seconds[name], seconds[backbone]) if has_ratio else None,
            "peak_megabytes": None if peak is None else round(peak / 1e6, 1),
        }
    return figures


def _peak(call: Callable[[], object], one: Timed, at: Conditions, *, batch: int, memory: Memory | None) -> int | None:
    """Peak memory of a pass in bytes, or None. Runs one pass, unless the CPU memory was measured before.

    Raises:
        RuntimeError: the pass failed at this batch size.
    """
    if at.device.type == "cuda":
        return peak_on_cuda(call, device=at.device, weights=weight_bytes(one.module))
    if memory is None:
        call()
        return None
    if batch not in memory.peaks:
        raise RuntimeError(memory.failure)
    return memory.peaks[batch]
