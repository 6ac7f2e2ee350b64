"""safetensors files whose tensors must fit."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ecenet.common.errors import UserError


def read_tensors(
    path: Path, *, wanted: Mapping[str, Tensor], extra_allowed: bool, prefix: str = ""
) -> dict[str, Tensor]:
    """The tensors of a safetensors file that bear the names and shapes of `wanted`, in the file's own dtype.

    Args:
        wanted: a state dict.
        extra_allowed: leave out what the file holds beyond `wanted`, instead of refusing it.
        prefix: what may stand before the names in the file, as where it holds more than one network.
    Raises:
        UserError: the file cannot be read; tensors are missing, have other shapes, or are left over.
    """
    try:
        # Read, not mapped: where a mapped file is cut short meanwhile, the system ends the process.
        loaded = {key.removeprefix(prefix): tensor for key, tensor in load(path.read_bytes()).items()}
    except (OSError, SafetensorError) as error:
        raise UserError(
            "file-damaged",
            f"Expected a complete safetensors file, but {path} cannot be read ({error}); copy or download it again.",
        ) from error
    missing = [key for key in wanted if key not in loaded]
    misfits = [key for key in wanted if key in loaded and loaded[key].shape != wanted[key].shape]
    extra = [] if extra_allowed else sorted(key for key in loaded if key not in wanted)
    problems = missing + misfits + extra
    if problems:
        raise UserError(
            "tensor-mismatch",
            f"Expected the {len(wanted)} tensors of the configured network in {path}, but {len(missing)} are missing, "
            f"{len(misfits)} have another shape and {len(extra)} do not belong (first: {problems[0]}); "
            "give the file and the config of one network.",
        )
    return {key: loaded[key] for key in wanted}
