"""Reading and checking of the `config.json` of a checkpoint, which users may have edited."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError
from ecenet.model.config import Architecture, ModelConfig, NetworkConfig, ReleaseConfig, SegViTConfig

LEGACY_ECENET: Mapping[str, Any] = {
    "taper": False,
    "summed_masks": False,
    "stand_ins": False,
    "dropout": 0.0,
    "position_side": None,
    "vit_strides": (),
    "attention": "plain",
    "gate_bias": 0.0,
    "candidate": "own",
}
"""Values of settings that are missing in files from before the setting existed. They are not the defaults of new
models, which are in `ModelConfig`."""
LEGACY_SEGVIT: Mapping[str, Any] = {
    "stand_ins": False,
    "dropout": 0.1,
    "drop_path": 0.0,
    "position_antialias": True,
}
"""The same for SegViT, whose defaults are in `SegViTConfig`."""

REQUIRED = ("class_names", "class_colors", "image_mean", "image_std")
OPTIONAL = ("image_size", "recipe", "temperature", "unsure_below")
"""Keys of a file besides the architecture's settings: the keyword arguments of `PixelClassifier`."""


def read_config(path: Path) -> tuple[NetworkConfig, dict[str, Any]]:
    """Read a file with `parse_config`.

    Raises:
        UserError: see `parse_config`; or the file is not JSON.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("invalid-config", f"Expected JSON in {path}, but it is damaged; restore the file.") from error
    return parse_config(values, place=str(path))


def parse_config(values: Any, *, place: str) -> tuple[NetworkConfig, dict[str, Any]]:
    """Parse and check the flat content of a `config.json`.

    Args:
        values: parsed JSON.
        place: path of the file, for messages.
    Returns: the architecture, and the other keyword arguments of the network (`REQUIRED` and `OPTIONAL`).
    Raises:
        UserError: the file is of another kind, or a setting is unknown, missing or invalid.
    """
    if not isinstance(values, dict) or "class_names" not in values:
        raise UserError(
            "invalid-config",
            f"Expected an ECENet config in {place}, but it has no class names; give an ECENet checkpoint.",
        )
    values = dict(values)
    architecture = values.pop("architecture", "ecenet")  # missing in the first checkpoints
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
    """Return the flat content of a `config.json`, which `parse_config` reads.

    Args:
        about: values of the keys in `REQUIRED` and `OPTIONAL`.
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
            f"Expected class_colors in {place} to have three numbers for each of the {len(names)} classes, "
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
            "invalid-config",
            f"Expected image_size in {place} to be a number of pixels or null, got {size!r}; correct the file.",
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
