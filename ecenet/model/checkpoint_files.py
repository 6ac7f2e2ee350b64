"""Files of a checkpoint: `config.json`, checked since people edit it, and safetensors, whose tensors must fit."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.model.config import Architecture, ModelConfig, NetworkConfig, ReleaseConfig, SegViTConfig

LEGACY_ECENET: Mapping[str, Any] = {
    "taper": False,
    "summed_masks": False,
    "stand_ins": False,
    "dropout": 0.0,
    "position_side": None,
    "vit_strides": (),
}
"""What the absence of a setting means: files that lack it were written before it existed, when networks were built so.
These are no defaults of new models, which `ModelConfig` holds."""
LEGACY_SEGVIT: Mapping[str, Any] = {
    "stand_ins": False,
    "dropout": 0.1,
    "drop_path": 0.0,
    "position_antialias": True,
}
"""The same for SegViT, whose defaults `SegViTConfig` holds."""

REQUIRED = ("class_names", "class_colors", "image_mean", "image_std")
OPTIONAL = ("image_size", "recipe", "temperature", "unsure_below")
"""What a file holds beside the architecture's settings: the keyword arguments of `PixelClassifier`."""


def read_config(path: Path) -> tuple[NetworkConfig, dict[str, Any]]:
    """As `parse_config`, from a file.

    Raises:
        UserError: as `parse_config`, or the file is no JSON.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("invalid-config", f"Expected JSON in {path}, but it is damaged; restore the file.") from error
    return parse_config(values, place=str(path))


def parse_config(values: Any, *, place: str) -> tuple[NetworkConfig, dict[str, Any]]:
    """The flat contents of a `config.json`, checked.

    Args:
        values: parsed JSON.
        place: where it stands, for messages.
    Returns: the architecture, and the other keyword arguments of the network (`REQUIRED` and `OPTIONAL`).
    Raises:
        UserError: it is of something else, or a setting is unknown, missing or impossible.
    """
    if not isinstance(values, dict) or "class_names" not in values:
        raise UserError(
            "invalid-config",
            f"Expected an ECENet config in {place}, but it names no classes; give an ECENet checkpoint.",
        )
    values = dict(values)
    architecture = values.pop("architecture", "ecenet")  # the first checkpoints name none
    settings: type[NetworkConfig]
    legacy: Mapping[str, Any]
    if architecture == "ecenet":
        title, settings, legacy = "ECENet", ModelConfig, LEGACY_ECENET
    elif architecture == "ecenet-release":
        title, settings, legacy = "ECENetRelease", ReleaseConfig, {}
    elif architecture == "segvit":
        title, settings, legacy = "SegViT", SegViTConfig, LEGACY_SEGVIT
    else:
        raise UserError(
            "invalid-config",
            f"Expected architecture in {place} to be ecenet, ecenet-release or segvit, got {architecture!r}; "
            "correct it.",
        )

    names = [field.name for field in fields(settings)]
    _check_keys(values, known={*names, *REQUIRED, *OPTIONAL}, optional={*legacy, *OPTIONAL}, title=title, place=place)
    values = {**legacy, **values}
    config = settings(**{name: values.pop(name) for name in names})
    _check_classes(values, place)
    _check_images(values, place)
    _check_temperature(values, place)
    _check_unsure_below(values, place)
    return config, values


def config_values(config: NetworkConfig, **about: Any) -> dict[str, Any]:
    """What `parse_config` reads: flat, as JSON takes it.

    Args:
        about: what is named by `REQUIRED` and `OPTIONAL`.
    """
    architecture: Architecture = "ecenet"
    if isinstance(config, ReleaseConfig):
        architecture = "ecenet-release"
    elif isinstance(config, SegViTConfig):
        architecture = "segvit"
    return {"architecture": architecture, **asdict(config), **about}


def _check_keys(
    values: Mapping[str, Any], *, known: Collection[str], optional: Collection[str], title: str, place: str
) -> None:
    unknown = sorted(key for key in values if key not in known)
    missing = sorted(key for key in known if key not in values and key not in optional)
    if unknown or missing:
        problem = f"{unknown[0]!r} is unknown" if unknown else f"{missing[0]!r} is missing"
        raise UserError(
            "invalid-config", f"Expected {title}'s {len(known)} settings in {place}, but {problem}; correct the file."
        )


def _check_classes(values: Mapping[str, Any], place: str) -> None:
    names, colors = values["class_names"], values["class_colors"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(
            "invalid-config", f"Expected class_names in {place} to be a list of names, got {names!r}; correct the file."
        )
    if not isinstance(colors, list) or len(colors) != len(names) or not all(_is_triple(color) for color in colors):
        raise UserError(
            "invalid-config",
            f"Expected class_colors in {place} to hold three numbers for each of the {len(names)} classes, "
            f"got {colors!r}; correct the file.",
        )


def _check_images(values: Mapping[str, Any], place: str) -> None:
    for name in ("image_mean", "image_std"):
        if not _is_triple(values[name]):
            raise UserError(
                "invalid-config",
                f"Expected {name} in {place} to be three numbers, got {values[name]!r}; correct the file.",
            )
    size = values.get("image_size")
    if size is not None and (type(size) is not int or size < 1):
        raise UserError(
            "invalid-config", f"Expected image_size in {place} to be pixels or null, got {size!r}; correct the file."
        )


def _check_temperature(values: Mapping[str, Any], place: str) -> None:
    temperature = values.get("temperature", 1.0)
    if type(temperature) not in (int, float) or not 0 < temperature < float("inf"):
        raise UserError(
            "invalid-config",
            f"Expected temperature in {place} to be a number above 0, got {temperature!r}; correct the file, or remove "
            "the line and run `python -m ecenet calibrate`.",
        )


def _check_unsure_below(values: Mapping[str, Any], place: str) -> None:
    below = values.get("unsure_below")
    if below is not None and (type(below) not in (int, float) or not 0 <= below <= 1):
        raise UserError(
            "invalid-config",
            f"Expected unsure_below in {place} to be a confidence, 0 … 1, or null, got {below!r}; correct the file, or "
            "remove the line and run `python -m ecenet calibrate`.",
        )


def _is_triple(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(number) in (int, float) for number in value)


def read_tensors(path: Path, *, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which must bear the names and shapes of `wanted`, in the file's own dtype.

    Raises:
        UserError: the file cannot be read; tensors are missing, have other shapes, or are left over.
    """
    loaded = read_safetensors(path)
    extra = sorted(name for name in loaded if name not in wanted)
    return fitting_tensors(loaded, wanted=wanted, extra=extra, place=str(path))


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
