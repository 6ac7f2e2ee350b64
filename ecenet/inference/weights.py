"""Checkpoints are folders with `config.json` and `model.safetensors` or its shards: found by name, path or Hub id."""

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
"""Checkpoints that ship with the project: in `weights/` of a checkout, within the package where that is installed."""

SHARD_BYTES = 10_000_000
"""Larger files cannot be pushed to the Hub without Git LFS."""

CLASS_TENSORS = ("extract.mask.3.weight", "extract.mask.3.bias", "extract.stand_ins", "learned_embeddings")
"""What has a row for each class."""
SEGVIT_CLASS_TENSORS = ("classify.weight", "classify.bias")
"""What else has one in SegViT; in ECENet a layer of that name knows no classes."""
RELEASE_CLASS_TENSORS = (
    "head.coarse.1.weight",
    "head.classify.weight",
    "head.classify.bias",
    "head.identify.weight",
    "head.identify.bias",
)
"""What has one in the authors' release."""
RELEASE_GRID_TENSORS = tuple(f"head.extract.{level}.project.weight" for level in range(4))
"""What depends on how many classes there are: their masks are pooled to a grid of about √K × √K."""
LOGITS_GRID_TENSORS = ("extract.pyramid.project.weight",)
"""The same in weights of ours with `extraction` logits."""


def shipped_weights() -> list[str]:
    """Names of the checkpoints in `weights/`."""
    return sorted(p.parent.name for p in WEIGHTS_DIR.glob("*/config.json"))


def load_model(weights: str | Path) -> Network:
    """Load a checkpoint in fp32 and evaluation mode.

    Args:
        weights: name of a shipped checkpoint, path of a folder, or Hub id "owner/name" or "owner/name@revision".
    Raises:
        UserError: nothing of that name, damaged files, or tensors that do not fit the config.
    """
    folder = weights_folder(weights)
    checkpoint_files(folder)
    settings, about = read_config(folder / "config.json")
    model = build_network(settings, **about)
    model.load_state_dict(read_tensors(folder, wanted=model.state_dict()))
    return model.eval()


def weights_options(weights: str | Path) -> NetworkConfig:
    """What a checkpoint's model is built from; names and errors as for `load_model`."""
    folder = weights_folder(weights)
    checkpoint_files(folder)
    return read_config(folder / "config.json")[0]


def checkpoint_files(folder: Path) -> list[Path]:
    """`config.json` and the files with tensors.

    Raises:
        UserError: one of them is missing, or an index names no shards.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(
            "file-missing",
            f"Expected config.json in {folder}, but it is missing; give the folder of a complete checkpoint.",
        )
    return [config, *tensor_files(folder)]


def save_model(model: Network, folder: Path, *, half: bool = False) -> None:
    """Write `config.json` and `model.safetensors`; with `half` in fp16, as shipped checkpoints are, and in shards where
    the file would be larger than `SHARD_BYTES`."""
    # A copy, since fp32 weights would not survive the way to fp16 and back.
    stored = copy.deepcopy(model).half() if half else model
    stored.save_pretrained(folder)
    if half:
        split_tensors(folder, shard_bytes=SHARD_BYTES)
    # safetensors makes files that nobody but their owner can read: neither colleagues nor a container's user.
    for file in tensor_files(folder):
        shutil.copymode(folder / "config.json", file)


def write_calibration(weights: str | Path, temperature: float, *, unsure_below: float | None = None) -> Path:
    """Put a temperature, and the confidence below which answers are unsure at this temperature, into the `config.json`
    of a checkpoint in a folder, and nothing else. Without the second, one that is there is taken out: it was of another
    temperature.

    Returns: the file.
    Raises:
        UserError: there is no such folder, the weights are the Hub's, or the file cannot be written.
    """
    shipped, folder = WEIGHTS_DIR / str(weights), Path(weights)
    path = (shipped if (shipped / "config.json").is_file() else folder) / "config.json"
    if not path.is_file():
        raise UserError(
            "weights-not-found",
            f"Expected weights in a folder here to write their calibration to, got {str(weights)!r}; "
            "download the checkpoint first and give its folder.",
        )
    read_config(path)
    # In the order of the file that save_pretrained writes, which sorts the keys.
    config = json.loads(path.read_text(encoding="utf-8")) | {"temperature": temperature}
    config.pop("unsure_below", None)
    if unsure_below is not None:
        config["unsure_below"] = unsure_below
    with disk_errors(path), replaced(path) as partial:
        partial.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    return path


def weights_hash(model: Network) -> str:
    """Twelve hexadecimal digits that change with any number in the model, its temperature among them: what results
    were made with. They do not change with `unsure_below`, which no result depends on."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    if model.temperature != 1:
        digest.update(f"temperature {model.temperature}".encode())  # confidences are made with it
    return digest.hexdigest()[:12]


def copy_weights(source: Network, model: Network) -> None:
    """Begin a training where another ended; both need one architecture and its options.

    With the same classes in the same order every tensor is copied. With others the ones that belong to classes keep
    their new values; those are few: the coarse mask's last layer, and learned vectors. In the authors' release these
    are the layers that tell classes apart and, where √K differs, those that take masks' pyramids to embeddings, as in
    ours with `extraction` logits.

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
            f"do not fit (first: {(misfits + missing)[0]}); give the model options that they were trained with.",
        )
    model.load_state_dict(wanted | tensors)


def weights_folder(weights: str | Path) -> Path:
    """The folder of a checkpoint; one on the Hub is downloaded, with the bank and the warning beside it.

    Args:
        weights: name of a shipped checkpoint, path of a folder, or Hub id "owner/name", with "@revision" for a branch,
            tag or commit.
    Raises:
        UserError: nothing of that name.
    """
    shipped, folder = WEIGHTS_DIR / str(weights), Path(weights)
    if (shipped / "config.json").is_file():
        return shipped
    if folder.is_dir():
        return folder
    # Paths are what lists of folders are made of: one whose folder has gone is no model of the Hub's.
    name, _, revision = str(weights).partition("@")
    is_hub_id = isinstance(weights, str) and name.count("/") == 1 and not name.startswith((".", "/", "~"))
    if not is_hub_id:
        raise UserError(
            "weights-not-found",
            f"Expected weights by name ({', '.join(shipped_weights()) or 'none shipped'}), folder or Hub id, "
            f"got {str(weights)!r}; choose one of them.",
        )
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(HUB_PATTERNS)))
    except (OSError, HFValidationError) as error:
        raise UserError(
            "weights-not-found",
            f"Expected {str(weights)!r} to be a folder here or a model on the Hugging Face Hub, but neither answers; "
            "check the spelling and the network.",
        ) from error


def best_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
