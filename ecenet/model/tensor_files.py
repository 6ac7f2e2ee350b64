"""Reading and checking of the tensors of a checkpoint, in a safetensors file or several shards."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from ecenet.common.errors import UserError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
"""The shard of each tensor, in the format of huggingface_hub and transformers."""
HUB_PATTERNS = ("config.json", "model*.safetensors", INDEX_FILE, "bank.parquet", "warning.json")
"""Files of a checkpoint in a repository of the Hub, including those that the app shows with predictions."""


def tensor_files(folder: Path) -> list[Path]:
    """Return the tensor files of a checkpoint: `model.safetensors`, or the shards in its index.

    Raises:
        UserError: a file is missing, or the index is invalid.
    """
    single, index = folder / SINGLE_FILE, folder / INDEX_FILE
    if single.is_file() or not index.is_file():
        files = [single]
    else:
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            whole = bool(names) and all(Path(name).name == name for name in names)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            names, whole = [], False
        if not whole:
            raise UserError(
                "file-damaged",
                f"Expected {index} to list the shard of each tensor, but it does not; copy or download it again.",
            )
        files = [folder / name for name in names]
    for file in files:
        if not file.is_file():
            raise UserError(
                "file-missing",
                f"Expected {file.name} in {folder}, but it is missing; give the folder of a complete checkpoint.",
            )
    return files


def split_tensors(folder: Path, *, shard_bytes: int) -> None:
    """Replace `model.safetensors` by shards of at most `shard_bytes` and their index, if it is larger."""
    single = folder / SINGLE_FILE
    for old in [folder / INDEX_FILE, *folder.glob("model-*-of-*.safetensors")]:
        old.unlink(missing_ok=True)
    if single.stat().st_size <= shard_bytes:
        return
    tensors = dict(sorted(read_safetensors(single).items()))  # in a fixed order, which the shards follow
    # Each file also has a header, which is not longer than that of all tensors.
    header = single.stat().st_size - sum(tensor.nbytes for tensor in tensors.values())
    split = split_torch_state_dict_into_shards(tensors, max_shard_size=shard_bytes - header)
    for file, names in split.filename_to_tensors.items():
        save_file({name: tensors[name] for name in names}, folder / file, metadata={"format": "pt"})
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")
    single.unlink()


def read_tensors(folder: Path, *, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, which must have the names and shapes of `wanted`, in the dtype of the files.

    Raises:
        UserError: a file is missing or cannot be read; tensors are missing, have other shapes, or are left over.
    """
    files = tensor_files(folder)
    loaded = {name: tensor for file in files for name, tensor in read_safetensors(file).items()}
    extra = sorted(name for name in loaded if name not in wanted)
    return fitting_tensors(loaded, wanted=wanted, extra=extra, place=str(files[0] if len(files) == 1 else folder))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        # Not memory-mapped, because the system ends the process if a mapped file is truncated.
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise UserError(
            "file-damaged",
            f"Expected a complete safetensors file, but {path} cannot be read ({error}); copy or download it again.",
        ) from error


def fitting_tensors(
    loaded: Mapping[str, Tensor], *, wanted: Mapping[str, Tensor], place: str, extra: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Return the tensors of `loaded` with the names and shapes of `wanted`.

    Args:
        wanted: a state dict.
        place: path of the file, for messages.
        extra: names of unexpected tensors.
    Raises:
        UserError: tensors are missing, have other shapes, or are unexpected.
    """
    missing = [name for name in wanted if name not in loaded]
    misfits = [name for name in wanted if name in loaded and loaded[name].shape != wanted[name].shape]
    problems = tensor_problems(missing=missing, misfits=misfits, extra=extra)
    if problems:
        raise UserError(
            "tensor-mismatch",
            f"Expected the {len(wanted)} tensors of the configured network in {place}, but there are {problems}; "
            "give files of the same network.",
        )
    return {name: loaded[name] for name in wanted}


def tensor_problems(*, missing: Sequence[str], misfits: Sequence[str], extra: Sequence[str]) -> str:
    """Describe missing, misshapen and unexpected tensors for a message, or return ""."""
    return " and ".join(
        f"{len(names)} {what} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("of another shape", misfits), ("unexpected", extra))
        if names
    )
