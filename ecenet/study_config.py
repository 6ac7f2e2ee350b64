"""Options of studies and comparisons, which the command line shows; made without heavy imports."""

from dataclasses import dataclass
from typing import Literal, get_args

from ecenet.config import Precision

Method = Literal["mean", "pyramid", "prototypes"]
"""How what is painted becomes an embedding, see `painting.embed_regions`."""
Rivals = Literal["own", "rest", "both"]
"""Whom a painted class competes with. Ours: the weights' own classes; the rest of the painted photos, painted as one
more class, with the weights' own left out; or all of these."""
Decoder = Literal["ecenet", "deeplabv3plus", "fpn", "upernet"]
"""What is compared on the same backbone."""
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


@dataclass(frozen=True)
class WarningOptions:
    """What is measured."""

    judge: str | None = None
    """Stage whose masks are judged, whatever stage the embeddings are of; each stage's own masks by default."""
    without: tuple[str, ...] = ()
    """Classes to leave out."""
    min_area: float = 0.005
    """Look at classes that are predicted on more than this share of the image."""
    failed_below: float = 0.5
    """A mask whose IoU is less is a failure."""
    centroid_iou: float = 0.5
    """Centroids are those of masks with at least this IoU; 0 takes all."""
    resamples: int = 1000
    """Bootstrap samples of the images, for the 95 % intervals."""
    seed: int = 0


@dataclass(frozen=True)
class FewShotOptions:
    """What is measured."""

    classes: tuple[str, ...] = ()
    """Classes of the data to look for; all that the weights never saw by default."""
    shots: tuple[int, ...] = (1, 5, 10)
    """Numbers of painted photos."""
    draws: int = 3
    """How often the painted photos are drawn. The five of a draw are among its ten."""
    limit: int | None = None
    """Look for each class in so many photos only, evenly spread over those that hold it; all by default."""
    methods: tuple[Method, ...] = get_args(Method)
    """How painted regions become embeddings."""
    rivals: tuple[Rivals, ...] = ("own", "rest")
    """Whom a painted class competes with: the weights' own classes, the rest of the painted photos as a class, both."""
    stage: str = "final"
    """Whose masks tell where a painted class is."""
    prototypes: int = 3
    """Embeddings of a class at most, for the method of that name."""
    min_share: float = 0.01
    """Photos count as holding a class that makes up at least this share of their labelled pixels."""
    seed: int = 0
