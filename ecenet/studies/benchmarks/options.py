"""Options of `benchmark-peers`. Without heavy imports, since the command line shows them."""

from dataclasses import dataclass
from typing import Literal

from ecenet.training.config import Precision

BackboneName = Literal["mobilenetv2", "vit-small", "vit-base", "vit-large"]


@dataclass(frozen=True)
class PeerOptions:
    """Options of `benchmark-peers`."""

    backbone: BackboneName = "mobilenetv2"
    """Backbone of all networks except those with a backbone of their own."""
    candidates: tuple[str, ...] = ()
    """Networks to time in addition to the backbone; all by default."""
    size: tuple[int, int] | None = None
    """Height and width of the images in pixels; by default 352 480 for MobileNetV2, 640 640 for ViT-L, else 512 512."""
    classes: int | None = None
    """Number of classes; by default 11 for MobileNetV2, else 150."""
    batch: tuple[int, ...] = (1, 16)
    """Batch sizes: 1 measures latency, larger ones throughput."""
    rounds: int = 20
    """Number of rounds; each times every network once."""
    device: Literal["cpu", "cuda"] | None = None
    """Device; by default CUDA if available."""
    precision: Precision = "auto"
    """auto: bf16 if the hardware supports it natively."""
    threads: int | None = None
    """Number of CPU threads; by default PyTorch's choice."""
    memory: bool = True
    """Also measure peak memory; on CPUs this takes a process for each network."""
