"""The models that visitors can select, and those that are loaded."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ecenet.app.state.limits import Limits
from ecenet.common.errors import UserError
from ecenet.common.logs import log_event
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import WEIGHTS_DIR, checkpoint_files, shipped_weights, weights_folder
from ecenet.inference.zero_gpu import open_predictor
from ecenet.training.run_folder import RUNS_DIR, list_runs

_logger = logging.getLogger(__name__)
MAX_LOADED = 3
"""Number of models in memory; the least recently used one is dropped first."""
Stamp = tuple[int, ...]
"""Modification times and sizes of a checkpoint's files."""


@dataclass(frozen=True)
class ModelChoice:
    """An entry of the model picker."""

    key: str
    """Identifier that the browser sends. It is never used as a path."""
    label: str
    weights: Path
    """Folder of the checkpoint."""


class Loaded(NamedTuple):
    """A model in memory."""

    choice: ModelChoice
    stamp: Stamp | None
    """Stamp of its files at the last check; None if they were missing."""
    predictor: Predictor
    problem: str = ""
    """Problem with its files since it was loaded, or ""."""


class ModelRegistry:
    """Included weights and finished runs, by key. Thread-safe.

    Each model is loaded once; concurrent requests for it wait for that load only. Listing models and opening loaded
    ones never waits for a load. A failed load is retried by the next request.

    A loaded model stays usable if its files are deleted or damaged, and its label says so.

    Args:
        initial: model selected at the start: name of included weights, a folder, or a Hub id, which is downloaded.
        runs: folder that is searched for finished runs.
        max_loaded: number of models that stay in memory.
        limits: limits of uploads; the models accept images up to the same number of pixels.
    """

    def __init__(
        self,
        initial: str | Path,
        *,
        runs: Path = RUNS_DIR,
        max_loaded: int = MAX_LOADED,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self._own = _own_choice(initial)
        self.initial = self._own.key
        self.limits = limits
        self._runs = runs
        self._max_loaded = max_loaded
        self._lock = threading.Lock()
        """Guards the fields below; never held while files are read."""
        self._listed: dict[str, ModelChoice] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._load_locks: dict[str, threading.Lock] = {}
        """By key; each is held while the weights of its model are loaded."""

    def choices(self) -> list[ModelChoice]:
        """Return the available models: included weights first, then runs, newest first."""
        found = [_shipped(name) for name in shipped_weights()]
        if self._own not in found:
            found.insert(0, self._own)
        for run in list_runs(self._runs):
            best = run.folder / "best"
            if run.status == "finished" and _stamp(best) is not None:
                name = run.folder.relative_to(self._runs).as_posix()
                score = "" if run.miou is None else f", mIoU {100 * run.miou:.1f}"
                found.append(ModelChoice(f"run:{name}", f"{name} (run{score})", best))
        with self._lock:
            known = {choice.key for choice in found}
            loaded = dict(self._loaded)
            found += [one.choice for one in loaded.values() if one.choice.key not in known]
            self._listed = {choice.key: choice for choice in found}
        return [_labelled(choice, loaded.get(choice.key)) for choice in found]

    def open(self, key: object) -> Predictor:
        """Return the model of a key. It is loaded if necessary, and again if its files have changed.

        Raises:
            UserError: the key is unknown, or the files are damaged and the model was not loaded before.
        """
        choice = self._find(key)
        with self._lock:
            load_lock = self._load_locks.setdefault(choice.key, threading.Lock())
        with load_lock:
            stamp = _stamp(choice.weights)
            with self._lock:
                kept = self._loaded.get(choice.key)
            if kept is None:
                kept = Loaded(choice, stamp, _load(choice, max_pixels=self.limits.pixels))
            elif stamp != kept.stamp:
                kept = _loaded_anew(choice, stamp, kept, max_pixels=self.limits.pixels)
            with self._lock:
                self._loaded[choice.key] = kept
                self._loaded.move_to_end(choice.key)
                while len(self._loaded) > self._max_loaded:
                    self._loaded.popitem(last=False)
        return kept.predictor

    def folder(self, key: object) -> Path | None:
        """Return the folder of the weights of a key, or None if the folder was deleted.

        Raises:
            UserError: the key is unknown.
        """
        weights = self._find(key).weights
        return weights if weights.is_dir() else None

    def _find(self, key: object) -> ModelChoice:
        """Find the entry of a key. The list is updated only if it lacks the key, since that reads the log of every
        run."""
        for attempt in range(2):
            with self._lock:
                choice = self._listed.get(key) if isinstance(key, str) else None
            if choice is not None:
                return choice
            if attempt == 0:
                self.choices()
        raise UserError(
            "unknown-choice", f"Expected a model of the list, got {str(key)[:80]!r}; choose one of the list."
        )


def _labelled(choice: ModelChoice, loaded: Loaded | None) -> ModelChoice:
    """Return the entry. If the model is loaded and its files have a problem, the label states it."""
    if loaded is None:
        return choice
    problem = "files are missing" if _stamp(choice.weights) is None else loaded.problem
    return replace(choice, label=f"{choice.label} ({problem}; still loaded)") if problem else choice


def _loaded_anew(choice: ModelChoice, stamp: Stamp | None, kept: Loaded, *, max_pixels: int) -> Loaded:
    """Load the model again. If its files are unusable, keep the loaded one and log a warning."""
    if stamp is None:
        log_event(_logger, "weights gone", level="warning", model=choice.label)
        return kept._replace(stamp=None, problem="files are missing")
    try:
        return Loaded(choice, stamp, _load(choice, max_pixels=max_pixels))
    except UserError as error:
        log_event(_logger, "weights damaged", level="warning", model=choice.label, problem=str(error))
        return kept._replace(stamp=stamp, problem="files are damaged")


def name_of(key: str) -> str:
    """Return the name of a key in the API and in the log."""
    return key.removeprefix("weights:")


def _load(choice: ModelChoice, *, max_pixels: int) -> Predictor:
    """Load the model. Error messages contain its label instead of its path."""
    try:
        return open_predictor(choice.weights, name=name_of(choice.key), max_pixels=max_pixels)
    except UserError as error:
        raise error.retold(str(error).replace(str(choice.weights), choice.label)) from error


def _shipped(name: str) -> ModelChoice:
    return ModelChoice(f"weights:{name}", name, WEIGHTS_DIR / name)


def _own_choice(weights: str | Path) -> ModelChoice:
    """Return the entry of the weights that the app is started with; the label has the last two parts of a path only."""
    if str(weights) in shipped_weights():
        return _shipped(str(weights))
    label = "/".join(Path(weights).parts[-2:]).lstrip("/")
    # As a Path, so that it is not looked up in the Hub after the folder is deleted.
    return ModelChoice("own", label, weights_folder(weights).absolute())


def _stamp(weights: Path) -> Stamp | None:
    """Return the stamp of the files, or None if they are missing."""
    try:
        found = [file.stat() for file in checkpoint_files(weights)]
    except (OSError, UserError):
        return None
    return tuple(number for one in found for number in (one.st_mtime_ns, one.st_size))
