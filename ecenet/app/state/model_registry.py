"""The models that visitors may choose among, and the few of them that are loaded."""

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
"""Models in memory; the one that was used longest ago goes first."""
Stamp = tuple[int, ...]
"""When a checkpoint's files were written, and how large they are."""


@dataclass(frozen=True)
class ModelChoice:
    """A line of the model picker."""

    key: str
    """What a browser sends. It names a choice and is never opened as a path."""
    label: str
    weights: Path
    """Folder of the checkpoint."""


class Loaded(NamedTuple):
    """A model in memory."""

    choice: ModelChoice
    stamp: Stamp | None
    """Of its files when somebody last looked at them; None where they were gone."""
    predictor: Predictor
    problem: str = ""
    """What has become of its files since it was loaded; empty where they are fine."""


class ModelRegistry:
    """Shipped weights and finished runs, by key. Threads may share it.

    Each model is loaded once: whoever asks for one that is being loaded waits for it, and for nothing else. Reading the
    list and opening models that are in memory wait for no load. A load that fails is tried again by the next to ask.

    A model that is loaded goes on where its files vanish or are damaged, and its label says so.

    Args:
        initial: what is chosen first: shipped weights by name, a folder or a Hub id, which is downloaded.
        runs: folder below which finished runs are found.
        max_loaded: how many models stay in memory.
        limits: of what visitors may upload; the models accept images as large as these.
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
        """Of the fields below; held for moments only, never while files are read."""
        self._listed: dict[str, ModelChoice] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._load_locks: dict[str, threading.Lock] = {}
        """By key; held while that model's weights are loaded."""

    def choices(self) -> list[ModelChoice]:
        """What there is now, shipped weights first, then runs, the newest first."""
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
        """The model behind a key, loaded where it is not yet, and anew where its files have changed for good.

        Raises:
            UserError: nothing of that key is in the registry, or its files are damaged and it was not loaded before.
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
        """Where the weights of a key lie; None where the folder has gone.

        Raises:
            UserError: nothing of that key is in the registry.
        """
        weights = self._find(key).weights
        return weights if weights.is_dir() else None

    def _find(self, key: object) -> ModelChoice:
        """Listing reads every run's log, so it is done only for a key that the last listing lacks."""
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
    """The choice, with what has become of its files in its label where it is loaded."""
    if loaded is None:
        return choice
    problem = "files are gone" if _stamp(choice.weights) is None else loaded.problem
    return replace(choice, label=f"{choice.label} ({problem}; as loaded before)") if problem else choice


def _loaded_anew(choice: ModelChoice, stamp: Stamp | None, kept: Loaded, *, max_pixels: int) -> Loaded:
    """What its files hold now; what they held where they hold nothing usable, which whoever runs the app is told."""
    if stamp is None:
        log_event(_logger, "weights gone", level="warning", model=choice.label)
        return kept._replace(stamp=None, problem="files are gone")
    try:
        return Loaded(choice, stamp, _load(choice, max_pixels=max_pixels))
    except UserError as error:
        log_event(_logger, "weights damaged", level="warning", model=choice.label, problem=str(error))
        return kept._replace(stamp=stamp, problem="files are damaged")


def name_of(key: str) -> str:
    """What the API and the log call a key."""
    return key.removeprefix("weights:")


def _load(choice: ModelChoice, *, max_pixels: int) -> Predictor:
    """Where weights lie is nobody's business: messages name the choice."""
    try:
        return open_predictor(choice.weights, name=name_of(choice.key), max_pixels=max_pixels)
    except UserError as error:
        raise error.retold(str(error).replace(str(choice.weights), choice.label)) from error


def _shipped(name: str) -> ModelChoice:
    return ModelChoice(f"weights:{name}", name, WEIGHTS_DIR / name)


def _own_choice(weights: str | Path) -> ModelChoice:
    """Whoever starts the app may name any weights; visitors see the last two parts of a path only."""
    if str(weights) in shipped_weights():
        return _shipped(str(weights))
    label = "/".join(Path(weights).parts[-2:]).lstrip("/")
    # A folder stays one: once it is gone, nobody must ask the Hub for its name.
    return ModelChoice("own", label, weights_folder(weights).absolute())


def _stamp(weights: Path) -> Stamp | None:
    """None where the files are gone."""
    try:
        found = [file.stat() for file in checkpoint_files(weights)]
    except (OSError, UserError):
        return None
    return tuple(number for one in found for number in (one.st_mtime_ns, one.st_size))
