"""Checkpoints of a run, which are written atomically and resumed only with the same settings."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import replaced
from ecenet.inference.weights import checkpoint_files, save_model
from ecenet.model.network import Network
from ecenet.training.settings import LATER_SETTINGS

FORMAT = "ecenet-run-1"


@dataclass
class RunState:
    """The state of a run. `step` and `best` are replaced, the others are changed in place.

    Random states and the sampler's position are not included, because both are derived from the seed and the step.
    """

    model: Network
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    settings: dict[str, Any]
    """Settings that must not change when the run is resumed, as JSON values."""
    step: int = 0
    """Number of completed steps."""
    best: float = -1.0
    """Best validation mIoU so far."""


def save_checkpoint(path: Path, state: RunState) -> None:
    """Write a checkpoint atomically: if the process is killed, either the old or the new file is complete.

    Raises:
        UserError: writing failed, for example on a full disk; the old file is kept.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as partial, partial.open("wb") as file:
            torch.save(
                {
                    "format": FORMAT,
                    "settings": state.settings,
                    "step": state.step,
                    "best": state.best,
                    "model": state.model.state_dict(),
                    "averaged": state.averaged.state_dict(),
                    "optimizer": state.optimizer.state_dict(),
                },
                file,
            )
            file.flush()
            os.fsync(file.fileno())


def load_checkpoint(path: Path, state: RunState) -> None:
    """Restore the state from a file written by `save_checkpoint`.

    Raises:
        UserError: the file is damaged, is of another kind, or belongs to a run with other settings.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many exceptions for damaged files
        raise UserError(
            "file-damaged",
            f"Expected {path} to be a checkpoint of this run, but it is damaged "
            f"({' '.join(str(error).split())[:120]}); choose another --out or remove the file.",
        ) from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise UserError(
            "wrong-file",
            f"Expected {path} to be a checkpoint of an ECENet run ({FORMAT}), but it is another kind of file; "
            "choose another --out or remove the file.",
        )
    now, then = state.settings, LATER_SETTINGS | stored["settings"]
    if now["steps"] > then.get("steps", now["steps"]):
        then |= {"steps": now["steps"]}  # a run may be extended; its learning rate then decays more slowly
    differing = [f"{name} {then.get(name)} → {now[name]}" for name in now if now[name] != then.get(name)]
    if differing:
        raise UserError(
            "changed-settings",
            f"Expected the original settings of the run in {path.parent}, but they differ "
            f"({', '.join(differing)}); restore them or choose another --out.",
        )
    try:
        state.model.load_state_dict(stored["model"])
        state.averaged.load_state_dict(stored["averaged"])
        state.optimizer.load_state_dict(stored["optimizer"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            "tensor-mismatch",
            f"Expected {path} to fit the configured network, but it does not ({' '.join(str(error).split())[:120]}); "
            "choose another --out or remove the file.",
        ) from error
    state.step, state.best = int(stored["step"]), float(stored["best"])


def save_weights(folder: Path, model: Network) -> None:
    """Write a weights folder for the app; each file is replaced atomically.

    Raises:
        UserError: writing failed; the old files are kept.
    """
    with disk_errors(folder):
        partial = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            save_model(model, partial)
            folder.mkdir(parents=True, exist_ok=True)
            for file in checkpoint_files(partial):
                file.replace(folder / file.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
