"""Loading and saving of checkpoints: folders with `config.json` and `model.safetensors` or its shards."""

import copy
import hashlib
import json
import shutil
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import replaced
from ecenet.model.config import NetworkConfig
from ecenet.model.config_file import read_config
from ecenet.model.layers.release_parts import mask_grid
from ecenet.model.network import Network, build_network
from ecenet.model.release import ECENetRelease
from ecenet.model.segvit import SegViT
from ecenet.model.tensor_files import HUB_PATTERNS, read_tensors, split_tensors, tensor_files

_CHECKOUT, _PACKAGE = Path(__file__).resolve().parents[2] / "weights", Path(__file__).resolve().parents[1] / "shipped"
WEIGHTS_DIR = _PACKAGE if _PACKAGE.is_dir() else _CHECKOUT
"""Folder of the included checkpoints: `weights/` of a checkout, or a folder in the installed package."""

SHARD_BYTES = 10_000_000
"""Maximum size of a file; larger ones cannot be pushed to the Hub without Git LFS."""

CLASS_TENSORS = ("extract.mask.3.weight", "extract.mask.3.bias", "extract.stand_ins", "learned_embeddings")
"""Tensors with a row for each class."""
SEGVIT_CLASS_TENSORS = ("classify.weight", "classify.bias")
"""Further tensors with a row for each class in SegViT; in ECENet, the layer of that name is independent of classes."""
RELEASE_CLASS_TENSORS = (
    "head.coarse.1.weight",
    "head.classify.weight",
    "head.classify.bias",
    "head.identify.weight",
    "head.identify.bias",
)
"""Tensors with a row for each class in the authors' release."""
RELEASE_GRID_TENSORS = tuple(f"head.extract.{level}.project.weight" for level in range(4))
"""Tensors that depend on the number of classes, since masks are pooled to a grid of about √K × √K."""
LOGITS_GRID_TENSORS = ("extract.pyramid.project.weight",)
"""The same in our design with `extraction` logits."""


def shipped_weights() -> list[str]:
    """Return the names of the included checkpoints."""
    return sorted(p.parent.name for p in WEIGHTS_DIR.glob("*/config.json"))


def load_model(weights: str | Path) -> Network:
    """Load a checkpoint in fp32 and evaluation mode.

    Args:
        weights: name of an included checkpoint, path of a folder, or Hub id "owner/name" or "owner/name@revision".
    Raises:
        UserError: the weights do not exist, a file is damaged, or tensors do not fit the config.
    """
    folder = weights_folder(weights)
    checkpoint_files(folder)
    settings, about = read_config(folder / "config.json")
    model = build_network(settings, **about)
    model.load_state_dict(read_tensors(folder, wanted=model.state_dict()))
    return model.eval()


def weights_options(weights: str | Path) -> NetworkConfig:
    """Return the model configuration of a checkpoint; argument and errors as in `load_model`."""
    folder = weights_folder(weights)
    checkpoint_files(folder)
    return read_config(folder / "config.json")[0]


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the files of a checkpoint: `config.json` and the tensor files.

    Raises:
        UserError: a file is missing, or the index is invalid.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(
            "file-missing",
            f"Expected config.json in {folder}, but it is missing; give the folder of a complete checkpoint.",
        )
    return [config, *tensor_files(folder)]


def save_model(model: Network, folder: Path, *, half: bool = False) -> None:
    """Write `config.json` and `model.safetensors`; with `half` in fp16, like the included checkpoints, and in shards if
    the file is larger than `SHARD_BYTES`."""
    # A copy, so that the model keeps its fp32 weights.
    stored = copy.deepcopy(model).half() if half else model
    stored.save_pretrained(folder)
    if half:
        split_tensors(folder, shard_bytes=SHARD_BYTES)
    # safetensors creates files that only the owner can read.
    for file in tensor_files(folder):
        shutil.copymode(folder / "config.json", file)


def write_calibration(weights: str | Path, temperature: float, *, unsure_below: float | None = None) -> Path:
    """Write a temperature, and the threshold for unsure pixels at that temperature, to the `config.json` of a
    checkpoint. Without a threshold, an existing one is removed, since it belonged to another temperature.

    Returns: the path of the file.
    Raises:
        UserError: the folder does not exist, the weights are on the Hub, or the file cannot be written.
    """
    shipped, folder = WEIGHTS_DIR / str(weights), Path(weights)
    path = (shipped if (shipped / "config.json").is_file() else folder) / "config.json"
    if not path.is_file():
        raise UserError(
            "weights-not-found",
            f"Expected weights in a local folder to write the calibration to, got {str(weights)!r}; "
            "download the checkpoint first and give its folder.",
        )
    read_config(path)
    # With sorted keys, like save_pretrained.
    config = json.loads(path.read_text(encoding="utf-8")) | {"temperature": temperature}
    config.pop("unsure_below", None)
    if unsure_below is not None:
        config["unsure_below"] = unsure_below
    with disk_errors(path), replaced(path) as partial:
        partial.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    return path


def weights_hash(model: Network) -> str:
    """Return a hash of twelve hexadecimal digits of all tensors and the temperature, which identifies the weights of a
    result. `unsure_below` is not included, since no result depends on it."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    if model.temperature != 1:
        digest.update(f"temperature {model.temperature}".encode())  # confidences depend on it
    return digest.hexdigest()[:12]


def copy_weights(source: Network, model: Network) -> None:
    """Copy weights to a new model of the same architecture with the same options.

    With the same classes in the same order, all tensors are copied. Otherwise tensors that depend on the classes keep
    their new values: in our design the last layer of the coarse mask, and learned vectors; in the authors' release the
    classification layers and, if √K differs, the layers from mask pyramids to embeddings, which our design with
    `extraction` logits also has.

    Raises:
        UserError: the architectures differ.
    """
    tensors, wanted = source.state_dict(), model.state_dict()
    class_tensors: tuple[str, ...] = CLASS_TENSORS
    if mask_grid(source.num_classes) != mask_grid(model.num_classes):
        class_tensors += LOGITS_GRID_TENSORS
    if isinstance(model, SegViT):
        class_tensors += SEGVIT_CLASS_TENSORS
    elif isinstance(model, ECENetRelease) and isinstance(source, ECENetRelease):
        class_tensors = RELEASE_CLASS_TENSORS
        if source.head.extract[0].grids != model.head.extract[0].grids:
            class_tensors += RELEASE_GRID_TENSORS
    if source.class_names != model.class_names:
        for name in class_tensors:
            tensors.pop(name, None)
    misfits = [name for name in tensors if name not in wanted or tensors[name].shape != wanted[name].shape]
    missing = [name for name in wanted if name not in tensors and name not in class_tensors]
    if misfits or missing:
        raise UserError(
            "tensor-mismatch",
            f"Expected weights of the configured architecture to start from, but {len(misfits + missing)} tensors "
            f"do not fit (first: {(misfits + missing)[0]}); use the model options that they were trained with.",
        )
    model.load_state_dict(wanted | tensors)


def weights_folder(weights: str | Path) -> Path:
    """Return the folder of a checkpoint; checkpoints on the Hub are downloaded, with their bank and warning files.

    Args:
        weights: name of an included checkpoint, path of a folder, or Hub id "owner/name", optionally with "@revision"
            (branch, tag or commit).
    Raises:
        UserError: the checkpoint does not exist.
    """
    shipped, folder = WEIGHTS_DIR / str(weights), Path(weights)
    if (shipped / "config.json").is_file():
        return shipped
    if folder.is_dir():
        return folder
    # A `Path` is never a Hub id, even if its folder was deleted.
    name, _, revision = str(weights).partition("@")
    is_hub_id = isinstance(weights, str) and name.count("/") == 1 and not name.startswith((".", "/", "~"))
    if not is_hub_id:
        raise UserError(
            "weights-not-found",
            f"Expected weights by name ({', '.join(shipped_weights()) or 'none included'}), folder or Hub id, "
            f"got {str(weights)!r}; choose one of them.",
        )
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(HUB_PATTERNS)))
    except (OSError, HFValidationError) as error:
        raise UserError(
            "weights-not-found",
            f"Expected {str(weights)!r} to be a local folder or a model on the Hugging Face Hub, but neither exists; "
            "check the spelling and the network.",
        ) from error


def best_device() -> torch.device:
    """Return CUDA if available, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
