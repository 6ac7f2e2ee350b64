"""The models that visitors may choose among, and the few of them that are loaded."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from ecenet.errors import UserError
from ecenet.predictor import Predictor
from ecenet.runs import RUNS_DIR, list_runs
from ecenet.ui.zero_gpu import open_predictor
from ecenet.weights import CHECKPOINT_FILES, WEIGHTS_DIR, shipped_weights

MAX_LOADED = 3
"""Models in memory; the one that was used longest ago goes first."""
Stamp = tuple[int, ...]
"""When a checkpoint's files were written; () for one that has no folder here."""


@dataclass(frozen=True)
class ModelChoice:
    """A line of the model picker."""

    key: str
    """What a browser sends. It names a choice and is never opened as a path."""
    label: str
    weights: str | Path
    """What `load_model` opens."""


class ModelShelf:
    """Shipped weights and finished runs, by key. Threads may share it; each model is loaded once.

    Args:
        initial: what is chosen first: shipped weights by name, a folder or a Hub id.
        runs: folder below which finished runs are found.
        max_loaded: how many models stay in memory.
    """

    def __init__(self, initial: str | Path, *, runs: Path = RUNS_DIR, max_loaded: int = MAX_LOADED) -> None:
        self._own = _own_choice(initial)
        self.initial = self._own.key
        self._runs = runs
        self._max_loaded = max_loaded
        self._lock = threading.Lock()
        self._listed: dict[str, ModelChoice] = {}
        self._loaded: OrderedDict[str, tuple[Stamp, Predictor]] = OrderedDict()

    def choices(self) -> list[ModelChoice]:
        """What there is now, shipped weights first, then runs, the newest first."""
        found = [_shipped(name) for name in shipped_weights()]
        if self._own not in found:
            found.insert(0, self._own)
        for run in list_runs(self._runs):
            best = run.folder / "best"
            if run.status == "finished" and all((best / name).is_file() for name in CHECKPOINT_FILES):
                name = run.folder.relative_to(self._runs).as_posix()
                score = "" if run.miou is None else f", mIoU {100 * run.miou:.1f}"
                found.append(ModelChoice(f"run:{name}", f"{name} (run{score})", best))
        self._listed = {choice.key: choice for choice in found}
        return found

    def open(self, key: object) -> Predictor:
        """The model behind a key, loaded where it is not yet, and anew where its files have changed.

        Raises:
            UserError: nothing of that key is on the shelf, or its files are damaged.
        """
        with self._lock:
            choice = self._find(key)
            stamp = _stamp(choice.weights)
            kept = self._loaded.get(choice.key)
            if kept is None or (stamp is not None and stamp != kept[0]):
                kept = (stamp or (), _load(choice))
            self._loaded[choice.key] = kept
            self._loaded.move_to_end(choice.key)
            while len(self._loaded) > self._max_loaded:
                self._loaded.popitem(last=False)
            return kept[1]

    def folder(self, key: object) -> Path | None:
        """Where the weights of a key lie; None for those of the Hub.

        Raises:
            UserError: nothing of that key is on the shelf.
        """
        with self._lock:
            weights = Path(self._find(key).weights)
        return weights if weights.is_dir() else None

    def _find(self, key: object) -> ModelChoice:
        """Listing reads every run's log, so it is done only for a key that the last listing lacks."""
        for attempt in range(2):
            if isinstance(key, str) and key in self._listed:
                return self._listed[key]
            if attempt == 0:
                self.choices()
        raise UserError(f"Expected a model of the list, got {str(key)[:80]!r}; choose one of the list.")


def _load(choice: ModelChoice) -> Predictor:
    """Where weights lie is nobody's business: messages name the choice."""
    try:
        return open_predictor(choice.weights)
    except UserError as error:
        raise UserError(str(error).replace(str(choice.weights), choice.label)) from error


def _shipped(name: str) -> ModelChoice:
    return ModelChoice(f"weights:{name}", name, WEIGHTS_DIR / name)


def _own_choice(weights: str | Path) -> ModelChoice:
    """Whoever starts the app may name any weights; visitors see the last two parts of a path only."""
    if str(weights) in shipped_weights():
        return _shipped(str(weights))
    return ModelChoice("own", "/".join(Path(weights).parts[-2:]).lstrip("/"), weights)


def _stamp(weights: str | Path) -> Stamp | None:
    """None where the files are gone."""
    if not Path(weights).is_dir():
        return () if isinstance(weights, str) else None
    try:
        return tuple((Path(weights) / name).stat().st_mtime_ns for name in CHECKPOINT_FILES)
    except OSError:
        return None
