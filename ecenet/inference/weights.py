"""Checkpoints are folders with `config.json` and `model.safetensors`: found by name, path or Hub id."""

import copy
import hashlib
import inspect
import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import replaced
from ecenet.model.config import ModelConfig, SegViTConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.network import Network, architecture_of
from ecenet.model.segvit import SegViT
from ecenet.model.tensor_file import read_tensors

WEIGHTS_DIR = Path(__file__).resolve().parents[2] / "weights"
"""Checkpoints that ship with the project."""

CHECKPOINT_FILES = ("config.json", "model.safetensors")

CLASS_TENSORS = ("extract.mask.3.weight", "extract.mask.3.bias", "extract.stand_ins", "learned_embeddings")
"""What has a row for each class."""
SEGVIT_CLASS_TENSORS = ("classify.weight", "classify.bias")
"""What else has one in SegViT; in ECENet a layer of that name knows no classes."""


def shipped_weights() -> list[str]:
    """Names of the checkpoints in `weights/`."""
    return sorted(p.parent.name for p in WEIGHTS_DIR.glob("*/config.json"))


def load_model(weights: str | Path) -> Network:
    """Load a checkpoint in fp32 and evaluation mode.

    Args:
        weights: name of a shipped checkpoint, path of a folder, or Hub id "owner/name".
    Raises:
        UserError: nothing of that name, damaged files, or tensors that do not fit the config.
    """
    folder = _find_folder(weights)
    for name in CHECKPOINT_FILES:
        if not (folder / name).is_file():
            raise UserError(
                f"Expected config.json and model.safetensors in {folder}, but {name} is missing; "
                "give the folder of a complete checkpoint."
            )
    network, config = _read_config(folder / "config.json")
    model = network(**config)
    tensors = read_tensors(folder / "model.safetensors", wanted=model.state_dict(), extra_allowed=False)
    model.load_state_dict(tensors)
    return model.eval()


def save_model(model: Network, folder: Path, *, half: bool = False) -> None:
    """Write `config.json` and `model.safetensors`; fp16 with `half`, as shipped checkpoints are."""
    # A copy, since fp32 weights would not survive the way to fp16 and back.
    stored = copy.deepcopy(model).half() if half else model
    config = model._hub_mixin_config
    assert isinstance(config, dict), "the model's keyword arguments"
    # These may have changed since the model was built.
    changed: dict[str, Any] = {"recipe": model.recipe, "image_size": model.image_size}
    if model.temperature != 1:
        changed["temperature"] = model.temperature
    stored.save_pretrained(folder, config={"architecture": architecture_of(model), **config, **changed})
    # safetensors makes files that nobody but their owner can read: neither colleagues nor a container's user.
    shutil.copymode(folder / "config.json", folder / "model.safetensors")


def write_temperature(weights: str | Path, temperature: float) -> Path:
    """Put a temperature into the `config.json` of a checkpoint in a folder, and nothing else.

    Returns: the file.
    Raises:
        UserError: there is no such folder, the weights are the Hub's, or the file cannot be written.
    """
    shipped, folder = WEIGHTS_DIR / str(weights), Path(weights)
    path = (shipped if (shipped / "config.json").is_file() else folder) / "config.json"
    if not path.is_file():
        raise UserError(
            f"Expected weights in a folder here to write their temperature to, got {str(weights)!r}; "
            "download the checkpoint first and give its folder."
        )
    _read_config(path)
    # In the order of the file that save_pretrained writes, which sorts the keys.
    config = json.loads(path.read_text(encoding="utf-8")) | {"temperature": temperature}
    with disk_errors(path), replaced(path) as partial:
        partial.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    return path


def weights_hash(model: Network) -> str:
    """Twelve hexadecimal digits that change with any number in the model, its temperature among them: what results
    were made with."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    if model.temperature != 1:
        digest.update(f"temperature {model.temperature}".encode())  # confidences are made with it
    return digest.hexdigest()[:12]


def copy_weights(source: Network, model: Network) -> None:
    """Begin a training where another ended; both need one architecture.

    With the same classes in the same order every tensor is copied. With others the ones that belong to classes keep
    their new values; those are few: the coarse mask's last layer, and learned vectors.

    Raises:
        UserError: the architectures differ.
    """
    tensors, wanted = source.state_dict(), model.state_dict()
    class_tensors = (*CLASS_TENSORS, *(SEGVIT_CLASS_TENSORS if isinstance(model, SegViT) else ()))
    if source.class_names != model.class_names:
        for name in class_tensors:
            tensors.pop(name, None)
    misfits = [name for name in tensors if name not in wanted or tensors[name].shape != wanted[name].shape]
    missing = [name for name in wanted if name not in tensors and name not in class_tensors]
    if misfits or missing:
        raise UserError(
            f"Expected weights of the configured architecture to start from, but {len(misfits + missing)} tensors "
            f"do not fit (first: {(misfits + missing)[0]}); give the model options that they were trained with."
        )
    model.load_state_dict(wanted | tensors)


def _find_folder(weights: str | Path) -> Path:
    shipped, folder = WEIGHTS_DIR / str(weights), Path(weights)
    if (shipped / "config.json").is_file():
        return shipped
    if folder.is_dir():
        return folder
    # Paths are what lists of folders are made of: one whose folder has gone is no model of the Hub's.
    is_hub_id = isinstance(weights, str) and weights.count("/") == 1 and not weights.startswith((".", "/", "~"))
    if not is_hub_id:
        raise UserError(
            f"Expected weights by name ({', '.join(shipped_weights()) or 'none shipped'}), folder or Hub id, "
            f"got {str(weights)!r}; choose one of them."
        )
    try:
        return Path(snapshot_download(str(weights), allow_patterns=list(CHECKPOINT_FILES)))
    except (OSError, HFValidationError) as error:
        raise UserError(
            f"Expected {str(weights)!r} to be a folder here or a model on the Hugging Face Hub, but neither answers; "
            "check the spelling and the network."
        ) from error


def _read_config(path: Path) -> tuple[type[Network], dict[str, Any]]:
    """Which model it is and its arguments, checked: people edit the file."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Expected JSON in {path}, but it is damaged; restore the file.") from error
    if not isinstance(config, dict) or "class_names" not in config:
        raise UserError(f"Expected an ECENet config in {path}, but it names no classes; give an ECENet checkpoint.")

    architecture = config.pop("architecture", "ecenet")  # the first checkpoints name none
    network: type[Network]
    settings: type[ModelConfig] | type[SegViTConfig]
    if architecture == "ecenet":
        network, settings = ECENet, ModelConfig
    elif architecture == "segvit":
        network, settings = SegViT, SegViTConfig
    else:
        raise UserError(f"Expected architecture in {path} to be ecenet or segvit, got {architecture!r}; correct it.")
    arguments = inspect.signature(network).parameters.values()
    known = {argument.name for argument in arguments} - {"pretrained"}
    needed = {argument.name for argument in arguments if argument.default is inspect.Parameter.empty}
    unknown, missing = sorted(config.keys() - known), sorted(needed - config.keys())
    if unknown or missing:
        problem = f"{unknown[0]!r} is unknown" if unknown else f"{missing[0]!r} is missing"
        raise UserError(
            f"Expected {network.__name__}'s {len(known)} settings in {path}, but {problem}; correct the file."
        )

    settings(**{field.name: config[field.name] for field in fields(settings) if field.name in config})
    names, colors = config["class_names"], config["class_colors"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"Expected class_names in {path} to be a list of names, got {names!r}; correct the file.")
    if not isinstance(colors, list) or len(colors) != len(names) or not all(_is_triple(color) for color in colors):
        raise UserError(
            f"Expected class_colors in {path} to hold three numbers for each of the {len(names)} classes, "
            f"got {colors!r}; correct the file."
        )
    for name in ("image_mean", "image_std"):
        if not _is_triple(config[name]):
            raise UserError(f"Expected {name} in {path} to be three numbers, got {config[name]!r}; correct the file.")
    size = config.get("image_size")
    if size is not None and (type(size) is not int or size < 1):
        raise UserError(f"Expected image_size in {path} to be pixels or null, got {size!r}; correct the file.")
    temperature = config.get("temperature", 1.0)
    if type(temperature) not in (int, float) or not 0 < temperature < float("inf"):
        raise UserError(
            f"Expected temperature in {path} to be a number above 0, got {temperature!r}; correct the file, or remove "
            "the line and run `python -m ecenet calibrate`."
        )
    return network, config


def _is_triple(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(number) in (int, float) for number in value)


def best_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
