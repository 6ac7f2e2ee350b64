"""Tensors of a checkpoint: one safetensors file or several shards, checked against the network that they are for."""

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
"""Says which shard holds which tensor, as huggingface_hub and transformers write and read it."""
HUB_PATTERNS = ("config.json", "model*.safetensors", INDEX_FILE, "bank.parquet", "warning.json")
"""Of a repository on the Hub, what a checkpoint needs, and what the app shows beside its predictions."""


def tensor_files(folder: Path) -> list[Path]:
    """The files of a checkpoint that hold its tensors: `model.safetensors`, or the shards that its index names.

    Raises:
        UserError: a file is missing, or the index is none.
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
                f"Expected {index} to name the shards beside it for each tensor, but it does not; "
                "copy or download it again.",
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
    """Replace a folder's `model.safetensors` by shards of at most so many bytes and their index, if it is larger."""
    single = folder / SINGLE_FILE
    for old in [folder / INDEX_FILE, *folder.glob("model-*-of-*.safetensors")]:
        old.unlink(missing_ok=True)
    if single.stat().st_size <= shard_bytes:
        return
    tensors = dict(sorted(read_safetensors(single).items()))  # read in any order, and shards follow it
    # Each file has a header, too, which is no longer than that of all tensors.
    header = single.stat().st_size - sum(tensor.nbytes for tensor in tensors.values())
    split = split_torch_state_dict_into_shards(tensors, max_shard_size=shard_bytes - header)
    for file, names in split.filename_to_tensors.items():
        save_file({name: tensors[name] for name in names}, folder / file, metadata={"format": "pt"})
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")
    single.unlink()


def read_tensors(folder: Path, *, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, which must bear the names and shapes of `wanted`, in the files' own dtype.

    Raises:
        UserError: a file is missing or cannot be read; tensors are missing, have other shapes, or are left over.
    """
    files = tensor_files(folder)
    loaded = {name: tensor for file in files for name, tensor in read_safetensors(file).items()}
    extra = sorted(name for name in loaded if name not in wanted)
    return fitting_tensors(loaded, wanted=wanted, extra=extra, place=str(files[0] if len(files) == 1 else folder))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        # Read, not mapped: where a mapped file is cut short meanwhile, the system ends the process.
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise UserError(
            "file-damaged",
            f"Expected a complete safetensors file, but {path} cannot be read ({error}); copy or download it again.",
        ) from error


def fitting_tensors(
    loaded: Mapping[str, Tensor], *, wanted: Mapping[str, Tensor], place: str, extra: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Those of `loaded` that have the names and shapes of `wanted`.

    Args:
        wanted: a state dict.
        place: where they come from, for messages.
        extra: names of tensors that do not belong.
    Raises:
        UserError: tensors are missing, have other shapes, or do not belong.
    """
    missing = [name for name in wanted if name not in loaded]
    misfits = [name for name in wanted if name in loaded and loaded[name].shape != wanted[name].shape]
    problems = tensor_problems(missing=missing, misfits=misfits, extra=extra)
    if problems:
        raise UserError(
            "tensor-mismatch",
            f"Expected the {len(wanted)} tensors of the configured network in {place}, but there are {problems}; "
            "give the file and the config of one network.",
        )
    return {name: loaded[name] for name in wanted}


def tensor_problems(*, missing: Sequence[str], misfits: Sequence[str], extra: Sequence[str]) -> str:
    """For a message: how many tensors are missing, misshapen or too many, with the first names; empty if none."""
    return " and ".join(
        f"{len(names)} {what} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("of another shape", misfits), ("too many", extra))
        if names
    )
