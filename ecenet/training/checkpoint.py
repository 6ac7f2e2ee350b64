"""Checkpoints of a run: written whole or not at all, resumed only by the run that wrote them."""

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
    """What a run is made of besides its data; `step` and `best` change, the rest is changed in place.

    Random numbers and the sampler's position need no place here: both follow from the seed and the step.
    """

    model: Network
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    settings: dict[str, Any]
    """JSON-able: what a resumed run must share with its start."""
    step: int = 0
    """Steps done."""
    best: float = -1.0
    """Best validated mIoU so far."""


def save_checkpoint(path: Path, state: RunState) -> None:
    """Write beside the old file, flush to the disk, then rename: a kill at any moment leaves one of the two whole.

    Raises:
        UserError: it cannot be written, as on a full disk; the old file is still there.
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
    """Restore what `save_checkpoint` wrote.

    Raises:
        UserError: the file is damaged, foreign, or of a run with other settings.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged files torch raises almost anything
        raise UserError(
            "file-damaged",
            f"Expected {path} to be a checkpoint of this run, but it is damaged "
            f"({' '.join(str(error).split())[:120]}); choose another --out or remove the file.",
        ) from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise UserError(
            "wrong-file",
            f"Expected {path} to be a checkpoint of an ECENet run ({FORMAT}), but it is of another kind; "
            "choose another --out or remove the file.",
        )
    now, then = state.settings, LATER_SETTINGS | stored["settings"]
    if now["steps"] > then.get("steps", now["steps"]):
        then |= {"steps": now["steps"]}  # a run may be made longer; its learning rate then falls more slowly
    differing = [f"{name} {then.get(name)} → {now[name]}" for name in now if now[name] != then.get(name)]
    if differing:
        raise UserError(
            "changed-settings",
            f"Expected the settings that the run in {path.parent} began with, but they differ "
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
    """A checkpoint folder for the app; each file is replaced whole.

    Raises:
        UserError: it cannot be written; the old files are still there.
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
