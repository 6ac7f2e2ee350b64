"""Checks that several configurations share; each raises a `UserError` that names the field."""

from typing import Any, get_args

from ecenet.common.errors import UserError


def check_kinds(config: object, *rules: tuple[str, tuple[type, ...], str]) -> None:
    """Check the types of fields, and that lists contain integers. Lists, as from JSON, are converted to tuples."""
    for name, kinds, wanted in rules:
        value = getattr(config, name)
        numbers = value if isinstance(value, (list, tuple)) else ()
        if not isinstance(value, kinds) or not all(type(number) is int for number in numbers):
            raise UserError("invalid-config", f"Expected {name} to be {wanted}, got {value!r}; correct the config.")
        if isinstance(value, list):
            object.__setattr__(config, name, tuple(value))


def check_choices(config: object, *rules: tuple[str, Any]) -> None:
    """Check fields of a `Literal` type."""
    for name, allowed in rules:
        value = getattr(config, name)
        if value not in get_args(allowed):
            choices = ", ".join(get_args(allowed))
            raise UserError(
                "invalid-config", f"Expected {name} to be one of {choices}, got {value!r}; choose one of them."
            )


def check_out_indices(indices: tuple[int, ...]) -> None:
    """Check that feature indices are increasing and not negative."""
    if not indices or list(indices) != sorted(set(indices)) or indices[0] < 0:
        raise UserError(
            "invalid-config",
            f"Expected out_indices to be increasing feature indices from 0, got {indices}; "
            "list each index once, shallow to deep.",
        )


def check_vit_strides(strides: tuple[int, ...], *, stages: int) -> None:
    """Check that there is a stride for each stage, shallow to deep, or none."""
    fit = len(strides) == stages and list(strides) == sorted(strides) and set(strides) <= {4, 8, 16, 32}
    if strides and not fit:
        raise UserError(
            "invalid-config",
            f"Expected vit_strides of 4, 8, 16 or 32 for each of {stages} out_indices, shallow to deep, or none, "
            f"got {strides}; correct the config.",
        )


def check_heads(embed_dim: int, *, num_heads: int) -> None:
    """Check that D is a multiple of the number of heads."""
    if num_heads < 1:
        raise UserError("invalid-config", f"Expected num_heads of at least 1, got {num_heads}; correct the config.")
    if embed_dim < 1 or embed_dim % num_heads:
        raise UserError(
            "invalid-config",
            f"Expected embed_dim to be a multiple of num_heads, got {embed_dim} and {num_heads}; change one of them.",
        )


def check_dropout(dropout: float, *, name: str = "dropout") -> None:
    """Check that a dropout rate is at least 0 and below 1."""
    if not 0 <= dropout < 1:
        raise UserError(
            "invalid-config", f"Expected {name} of at least 0 and below 1, got {dropout}; correct the config."
        )
