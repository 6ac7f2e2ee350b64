"""Checkpoints are folders with `config.json` and `model.safetensors`: found by name, path or Hub id."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError

from ecenet.errors import UserError
from ecenet.model.ecenet import ECENet

WEIGHTS_DIR = Path(__file__).resolve().parent.parent / "weights"
"""Checkpoints that ship with the project."""


def shipped_weights() -> list[str]:
    """Names of the checkpoints in `weights/`."""
    return sorted(p.parent.name for p in WEIGHTS_DIR.glob("*/config.json"))


def load_model(weights: str | Path) -> ECENet:
    """Load a checkpoint in fp32 and evaluation mode.

    Args:
        weights: name of a shipped checkpoint, path of a folder, or Hub id "owner/name".
    Raises:
        UserError: nothing of that name, damaged files, or tensors that do not fit the config.
    """
    folder = WEIGHTS_DIR / str(weights)
    if not (folder / "config.json").is_file():
        folder = Path(weights)
    is_hub_id = str(weights).count("/") == 1 and not str(weights).startswith((".", "/", "~"))
    if folder.is_dir():
        _check_folder(folder)
        source = str(folder)
    elif is_hub_id:
        source = str(weights)
    else:
        raise UserError(
            f"Expected weights by name ({', '.join(shipped_weights()) or 'none shipped'}), folder or Hub id, "
            f"got {str(weights)!r}; choose one of them."
        )
    try:
        model = ECENet.from_pretrained(source, strict=True)
    except UserError:
        raise
    except (RuntimeError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"Expected the tensors of {weights} to fit its config.json, but they do not ({reason}); "
            "use the config and the tensors of one run."
        ) from error
    except OSError as error:
        raise UserError(
            f"Expected {str(weights)!r} to be a folder here or a model on the Hugging Face Hub, but neither answers; "
            "check the spelling and the network."
        ) from error
    return model.float().eval()


def save_model(model: ECENet, folder: Path, *, half: bool = False) -> None:
    """Write `config.json` and `model.safetensors`; fp16 with `half`, as shipped checkpoints are."""
    dtypes = {key: value.dtype for key, value in model.state_dict().items()}
    try:
        if half:
            model.half()
        model.save_pretrained(folder)
    finally:
        if half:
            model.to(next(dtype for dtype in dtypes.values() if dtype.is_floating_point))


def _check_folder(folder: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(
                f"Expected config.json and model.safetensors in {folder}, but {name} is missing; "
                "give the folder of a complete checkpoint."
            )
    try:
        config = json.loads((folder / "config.json").read_text())
    except ValueError as error:
        raise UserError(f"Expected JSON in {folder}/config.json, but it is damaged; restore the file.") from error
    if not isinstance(config, dict) or "class_names" not in config:
        raise UserError(
            f"Expected an ECENet config in {folder}/config.json, but it names no classes; give an ECENet checkpoint."
        )


def best_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
