"""Everything that a visitor can upload, opened as the app opens it in a process of its own, which may crash, hang or
take memory as it likes: what comes of it is measured from outside."""

import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

SECONDS, MEGABYTES = 10, 1000
"""What an upload may take: processor time, which is that on the clock where nothing else runs, and memory above that
of the idle app with its model loaded."""
PATIENCE = 120
"""Seconds on the clock after which an upload is given up that takes no processor time either."""
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "JXL")
FILE_KINDS = ("session", "truth", "region", "bank", "class")
"""Entry points besides that for photos."""


@dataclass(frozen=True)
class Outcome:
    """What came of one upload."""

    kind: str
    """prediction, sentence; or what must not be: error, crash, killed (after `SECONDS`)."""
    text: str = ""
    """The sentence, or the traceback."""
    seconds: float = 0.0
    """On the clock."""
    cpu: float = 0.0
    """Seconds of processor time: what a busy machine does not lengthen."""
    megabytes: float = 0.0
    """Highest memory, above that of the idle process."""

    def problem(self) -> str:
        """Empty where the upload ended as it should."""
        if self.kind not in ("prediction", "sentence"):
            return f"{self.kind}: {self.text}"
        one_sentence = self.text.startswith("Expected") and self.text.endswith(".") and "\n" not in self.text
        if self.kind == "sentence" and (not one_sentence or ";" not in self.text or "/tmp" in self.text):
            return f"no sentence for a user: {self.text}"
        if self.cpu > SECONDS:
            return f"{self.cpu:.1f} s of processor time"
        return f"{self.megabytes:.0f} MB" if self.megabytes > MEGABYTES else ""


class EntryPoints:
    """The process behind; started with the first upload, and anew where one has ended it."""

    def __init__(self) -> None:
        self._child: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def open(self, entry_point: str, path: Path) -> Outcome:
        """Args:
        entry_point: photo, or one of `FILE_KINDS`.
        """
        child, pipe = self._started()
        start, kind = time.perf_counter(), "killed"
        try:
            cpu = _processor_seconds(child.pid)
            pipe.send((entry_point, str(path)))
            while not pipe.poll(0.1):
                late = time.perf_counter() - start > PATIENCE
                if late or _processor_seconds(child.pid) - cpu > SECONDS:
                    break
            else:
                return Outcome(**pipe.recv())
        except (EOFError, OSError):
            kind = "crash"
        self.close()
        return Outcome(kind, f"after {time.perf_counter() - start:.1f} s", seconds=time.perf_counter() - start)

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.join()
        self._child, self._pipe = None, None

    def _started(self) -> tuple[SpawnProcess, Connection]:
        if self._child is None or self._pipe is None:
            context = get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._child = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._child.start()
            theirs.close()
            assert self._pipe.recv() == "ready"
        return self._child, self._pipe


def _processor_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(pipe: Connection) -> None:
    """The child: imports and the first prediction come before the first upload, as in the app."""
    import torch

    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what libraries in C say of damaged files
    torch.set_num_threads(1)  # of more the processor time tells less: on a busy machine they spin
    openers = _openers()
    openers["photo"](str(_example()))
    idle = _memory("VmRSS")
    pipe.send("ready")
    while True:
        entry_point, path = pipe.recv()
        Path("/proc/self/clear_refs").write_text("5")  # the highest memory is that of now
        start, cpu = time.perf_counter(), time.process_time()
        kind, text = _try(openers[entry_point], path)
        pipe.send(
            {
                "kind": kind,
                "text": text,
                "seconds": time.perf_counter() - start,
                "cpu": time.process_time() - cpu,
                "megabytes": _memory("VmHWM") - idle,
            }
        )


def _try(opener: Callable[[str], None], path: str) -> tuple[str, str]:
    from ecenet.common.errors import UserError

    try:
        opener(path)
    except UserError as error:
        return "sentence", str(error)
    except BaseException:
        return "error", traceback.format_exc()
    return "prediction", ""


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


def _example() -> Path:
    import skimage.data

    return Path(skimage.data.__file__).parent / "chelsea.png"


def _openers() -> dict[str, Callable[[str], None]]:
    """What the app calls with an upload of each kind, up to where its numbers have been used."""
    from ecenet.analysis.diagnostics.bank_statistics import class_spreads, stage_confusion
    from ecenet.analysis.diagnostics.ground_truth import compare_with_truth, read_truth
    from ecenet.analysis.interventions.painted_class import load_class
    from ecenet.analysis.interventions.regions import read_region
    from ecenet.analysis.interventions.scenario import Scenario, predict_scenario
    from ecenet.app.state.model_registry import ModelRegistry
    from ecenet.app.state.session import Session, add_photo, new_session
    from ecenet.app.tabs.evaluate.tables import about_bank, confusion_table, spread_table
    from ecenet.evaluation.bank_parquet import read_bank
    from ecenet.evaluation.metrics import intersection_over_union

    registry = ModelRegistry("everyday")
    predictor = registry.open(registry.initial)
    example = add_photo(new_session(registry), str(_example()), predictor=predictor).photos[0].prediction
    key = registry.open(registry.initial).weights_hash

    def check(session: Session) -> None:
        for photo in session.photos:
            width, height = photo.prediction.image.size
            assert photo.prediction.label_map.shape == (height, width)
            assert max(width, height) <= 1024
        json.dumps([photo.name for photo in session.photos])

    def photo(path: str) -> None:
        check(add_photo(new_session(registry), path, predictor=predictor))

    def session(path: str) -> None:
        from ecenet.app.sidebar.session_file import open_session  # here, since Gradio takes seconds to import

        check(open_session(Path(path), registry=registry).session)

    def truth(path: str) -> None:
        found = read_truth(path, size=example.image.size, class_names=example.class_names)
        compare_with_truth(example, found.mask)

    def region(path: str) -> None:
        assert read_region(Path(path), size=example.image.size).shape == example.label_map.shape

    def bank(path: str) -> None:
        found = read_bank(Path(path), weights=key)
        for stage in found.stages:
            names, confusion = found.about["class_names"], stage_confusion(found, stage)
            about_bank(found, stage=stage)
            confusion_table(confusion, names=names, title=stage)
            spreads, iou = class_spreads(found, stage, min_area=0.01), intersection_over_union(confusion)
            spread_table(spreads, iou=iou, names=names, colors=found.about["class_colors"])

    def painted(path: str) -> None:
        found = load_class(Path(path), weights_hash=key)
        predict_scenario(predictor, example, Scenario(classes=(found,)))

    return {"photo": photo, "session": session, "truth": truth, "region": region, "bank": bank, "class": painted}
