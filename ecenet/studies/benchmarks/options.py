"""Options of `benchmark-peers`, which the command line shows; made without heavy imports."""

from dataclasses import dataclass
from typing import Literal

from ecenet.training.config import Precision

BackboneName = Literal["mobilenetv2", "vit-small", "vit-base", "vit-large"]


@dataclass(frozen=True)
class PeerOptions:
    """What is timed, and at what."""

    backbone: BackboneName = "mobilenetv2"
    """That all networks stand on, but for those that bring one of their own."""
    candidates: tuple[str, ...] = ()
    """Networks beside the bare backbone; all by default."""
    size: tuple[int, int] | None = None
    """Height and width of the images in pixels; 352 480 for MobileNetV2, 640 640 for ViT-L, else 512 512 by default."""
    classes: int | None = None
    """11 for MobileNetV2, else 150 by default."""
    batch: tuple[int, ...] = (1, 16)
    """Images a pass: 1 tells latency, more tell throughput."""
    rounds: int = 20
    """Each times every network once."""
    device: Literal["cpu", "cuda"] | None = None
    """CUDA where it is there by default."""
    precision: Precision = "auto"
    """auto: bf16 where the hardware computes it natively."""
    threads: int | None = None
    """On CPUs; PyTorch's own choice by default."""
    memory: bool = True
    """Measure peak memory, too; on CPUs that takes a process for each network."""
