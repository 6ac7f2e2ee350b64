"""ECENet beside other networks on the same backbone, and beside the bare backbone, which no decoder can be faster than.

One run times all of them in turn, round by round, so that what slows the machine down hits all alike. A ratio to the
bare backbone is the median over rounds of what both took in the same round.
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
"""Of images that all networks take."""


@dataclass(frozen=True)
class Conditions:
    """What all networks of a run have in common."""

    setting: Setting
    candidates: list[Candidate]
    size: tuple[int, int]
    """(H, W)."""
    classes: int
    batches: tuple[int, ...]
    rounds: int
    device: torch.device
    half: bool


class Entry(NamedTuple):
    """What is timed: a candidate's network, or the bare backbone that one or several stand on."""

    name: str
    candidate: Candidate
    part: Literal["network", "backbone"]
    backbone: str
    """Name of the bare backbone; its own if it is one."""


class Timed(NamedTuple):
    """An entry, built."""

    entry: Entry
    module: nn.Module
    run: Callable[[Tensor], Any]
    """(B, 3, H, W) → class scores, or a bare backbone's features."""


def benchmark_peers(options: PeerOptions) -> dict[str, Any]:
    """Count, weigh and time every candidate.

    Returns: JSON-able: `rows`, the bare backbones first; `not_run`, the candidates that there are not on this backbone,
        with the reason; and what all of it was measured on. A row's `batches` has for each batch size `milliseconds`
        (median), `images_per_second`, `ratio` (first, second and third quartile of the ratio to its backbone; null for
        a backbone) and `peak_megabytes` (null: not measured), or what `failed`.
    Raises:
        UserError: an option that nothing can be timed at, a library that is not installed, or too little memory for all
            networks at once.
    """
    at = conditions(options)
    memory = {}
    if options.memory and at.device.type == "cpu" and can_measure_cpu():
        memory = measured_memory(options, at)
        # Bare backbones are parts of networks, and need no room beside them.
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
    """Raises:
    UserError: for an option that nothing can be timed at.
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
        raise UserError(
            "gpu-missing", "Expected a GPU for --device cuda, but PyTorch finds none; leave the option out."
        )
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
    """The bare backbones, each once, then the candidates that there are on this backbone."""
    bare: dict[str, Entry] = {}
    networks = []
    for candidate in at.candidates:
        if reason_against(candidate, at.setting) is None:
            backbone = stands_on(candidate, at.setting)
            bare.setdefault(backbone, Entry(backbone, candidate, "backbone", backbone))
            networks.append(Entry(candidate, candidate, "network", backbone))
    return [*bare.values(), *networks]


def measured_memory(options: PeerOptions, at: Conditions) -> dict[str, Memory]:
    """Of every entry on the CPU, by name."""
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
    """Whether all networks, and the pass of one of them, find room at once, as timing them in turn needs.

    Raises:
        UserError: they do not.
    """
    passes = max((peak - one.weights for one in memory for peak in one.peaks.values()), default=0)
    needed = sum(one.weights for one in memory) + passes
    if needed > free:
        raise UserError(
            "out-of-memory",
            f"Expected {needed / 1e9:.1f} GB of memory for all networks at once, got {free / 1e9:.1f} GB; "
            "name fewer --candidates, or take smaller --batch sizes.",
        )


def measure(at: Conditions, *, memory: dict[str, Memory]) -> dict[str, Any]:
    """Count and time every entry: `rows` and `not_run` of `benchmark_peers`.

    Args:
        memory: as far as it was measured on a CPU; entries that failed there at a batch size are not timed at it.
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
    """Every entry on its device. A bare backbone is that of the first candidate on it, so it takes no memory.

    Raises:
        UserError: a GPU's memory does not hold all of them.
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
                    f"Expected room on the GPU for all networks at once, but {one.candidate} finds none; "
                    "name fewer --candidates.",
                ) from error
        peer = peers[one.candidate]
        whole = one.part == "network"
        field.append(Timed(one, peer.network if whole else peer.backbone, peer.scores if whole else peer.backbone))
    return field


def _counted(one: Timed, at: Conditions) -> dict[str, Any]:
    """What does not depend on the batch size; `scores_stride` is pixels a cell of the class scores."""
    images = noise(1, at.size, at.device)
    outputs: list[Any] = []
    gigaflops = count_gigaflops(lambda: outputs.append(one.run(images)))
    stride = None
    if one.entry.part == "network":
        scores = outputs[0]
        assert scores.shape[1] == at.classes, "a score for each class"
        stride = at.size[0] // scores.shape[2]
    return {
        "name": one.entry.name,
        "backbone": one.entry.backbone,
        "parameters": sum(parameter.numel() for parameter in one.module.parameters()),
        "gigaflops": round(gigaflops, 3),
        "scores_stride": stride,
    }


def _timed(field: list[Timed], at: Conditions, *, batch: int, memory: dict[str, Memory]) -> dict[str, dict[str, Any]]:
    """A batch size's figures of every entry, by name."""
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
        except RuntimeError as error:  # what one network cannot do must not cost the others their figures
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
    """Bytes at the peak of a pass, if they are known. Makes one pass, unless the CPU's memory was measured.

    Raises:
        RuntimeError: this entry makes no pass at this batch size.
    """
    if at.device.type == "cuda":
        return peak_on_cuda(call, device=at.device, weights=weight_bytes(one.module))
    if memory is None:
        call()
        return None
    if batch not in memory.peaks:
        raise RuntimeError(memory.failure)
    return memory.peaks[batch]
