"""One dataclass a command; its fields are the options, `run` calls the library."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from ecenet.app.server.options import Options
from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.training.config import HALF, Precision

if TYPE_CHECKING:
    from ecenet.data.split import LabelledSplit
    from ecenet.evaluation.class_map import ClassMap


@dataclass(frozen=True)
class App:
    """Serve the explorer, as `python app.py` does."""

    options: tyro.conf.OmitArgPrefixes[Options] = field(default_factory=Options)

    def run(self) -> None:
        from ecenet.app.start import start

        start(self.options)


@dataclass(frozen=True)
class Evaluate:
    """Score weights on a labelled folder."""

    data: Path
    """Folder of the data set."""
    layout: Layout = "folder"
    """How the data lies there: `images/<split>`, `masks/<split>` and `classes.json`, or as its publisher has it."""
    weights: str = DEFAULT_WEIGHTS
    """Name of shipped weights, a folder, or a Hub id."""
    split: str = "val"
    classes: int | None = None
    """Restrict the means to the first so many classes."""
    limit: int | None = None
    """Look at so many images only, evenly spread."""
    image_size: int | None = None
    """Longest side in pixels that the network sees; the weights' own by default."""
    scales: tuple[float, ...] = (1.0,)
    """Average the probabilities of the image at these multiples of that size."""
    flip: bool = False
    """Average with the mirrored image as well."""
    window: int | None = None
    """Side in pixels of windows that slide over the image and overlap by half; the whole image at once without it."""
    precision: Precision = "auto"
    """`auto` is bf16 where the machine computes it natively."""
    boundary: bool = False
    """Measure Boundary IoU, too; it takes its time."""
    embeddings: bool = True
    """Measure whether class embeddings keep their class at every stage, across photos, and what they tell of their
    masks' area and position; not where looks are averaged."""
    map: Path | None = None
    """Where the data's classes are others than the weights': a file such as the command `map` proposes."""
    json: Path | None = None
    """File to write the scores to; they are printed without it."""

    def run(self) -> None:
        from ecenet.common.distributed import shared_work
        from ecenet.data.layouts.read import read_data
        from ecenet.evaluation.embedding_quality import quality_table
        from ecenet.evaluation.evaluate import evaluate
        from ecenet.evaluation.tta import Averaging
        from ecenet.inference.predictor import Predictor

        with shared_work() as state:  # before the predictor, whose device it chooses
            data = read_data(self.data, self.split, layout=self.layout)
            predictor = Predictor.from_weights(self.weights, image_size=self.image_size, half=HALF[self.precision])
            result = evaluate(
                predictor,
                data,
                classes=self.classes,
                limit=self.limit,
                boundary=self.boundary,
                embeddings=self.embeddings,
                class_map=class_map_of(self.map, predictor.model.class_names, data),
                averaging=Averaging(self.scales, self.flip, self.window),
            )
        if not state.is_main_process:
            return
        for doubt in result.doubts(self.split):
            print(f"Note: {doubt}", file=sys.stderr)  # beside the scores, which may be on their way into a file
        scores = json.dumps(result.to_json(), indent=1)
        if self.json is None:
            print(scores)
        else:
            write_text(self.json, scores)
            if result.embedding_quality:
                print(quality_table(result.embedding_quality, result.embedding_layout))
            print(f"Wrote {self.json}")


@dataclass(frozen=True)
class Recipes:
    """List the presets of `train`, with what to expect of each."""

    def run(self) -> None:
        from ecenet.training.presets import recipes_table

        print(recipes_table())


@dataclass(frozen=True)
class Runs:
    """List training runs, the newest first."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """Where to look."""

    def run(self) -> None:
        from ecenet.training.run_folder import list_runs, runs_table

        runs = list_runs(self.folder)
        print(runs_table(runs) if runs else f"No runs in {self.folder}.")


@dataclass(frozen=True)
class Ship:
    """Turn a finished run into a checkpoint to share: fp16, with the scores of just these weights in its config."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Finished runs, or weights; several that began from the same ones are averaged."""
    out: Path
    """Folder of the checkpoint."""
    data: Path
    """Folder to measure on."""
    layout: Layout = "folder"
    """How the data lies there."""
    split: str = "val"
    classes: int | None = None
    """Also state the mean over the first so many classes."""
    image_size: int | None = None
    """Longest side in pixels to predict at, instead of the one trained around."""
    map: Path | None = None
    """Where the data's classes are others than the weights': a file such as the command `map` proposes."""
    which: Literal["best", "model", "both"] = "best"
    """Of a run: weights of the best validation, of the last step, or the mean of both."""
    license: str | None = None
    """Of the weights, for their model card, such as cc-by-4.0."""
    push: str | None = None
    """Repository owner/name of the Hugging Face Hub to upload the checkpoint to, as the command `push` does later."""

    def run(self) -> None:
        from ecenet.data.layouts.read import read_data
        from ecenet.training.shipping.hub import push_checkpoint
        from ecenet.training.shipping.model_card import figures_table
        from ecenet.training.shipping.publish import ship, weights_in

        data = read_data(self.data, self.split, layout=self.layout)
        make_folder(self.out)
        names = ("best", "model") if self.which == "both" else (self.which,)
        sources = [source for folder in self.folders for source in weights_in(folder, names=names)]
        figures = ship(
            sources,
            self.out,
            data=data,
            classes=self.classes,
            image_size=self.image_size,
            map_file=self.map,
            licence=self.license,
        )
        print(figures_table(figures))
        if self.push is not None:
            print(push_checkpoint(self.out, self.push))


@dataclass(frozen=True)
class Embed:
    """Write every class embedding of a labelled split, and how its mask fared, to one Parquet file."""

    data: Path
    """Folder of the data set."""
    out: Path
    """The file, .parquet."""
    weights: str = DEFAULT_WEIGHTS
    """Name of shipped weights, a folder, or a Hub id."""
    layout: Layout = "folder"
    """How the data lies there."""
    split: str = "val"
    limit: int | None = None
    """Look at so many images only, evenly spread."""
    half: bool = False
    """Embeddings as fp16: half the size."""
    anonymous: bool = False
    """Number the images instead of naming their files."""
    map: Path | None = None
    """Where the data's classes are others than the weights': a file such as the command `map` proposes. The bank then
    holds the data's classes: the Evaluate tab shows it, and nothing else takes it."""

    def run(self) -> None:
        from ecenet.common.distributed import shared_work
        from ecenet.data.layouts.read import read_data
        from ecenet.evaluation.bank import bank_quality, bank_summary, embed_split
        from ecenet.evaluation.bank_parquet import write_bank
        from ecenet.evaluation.embedding_quality import quality_table
        from ecenet.inference.predictor import Predictor

        with shared_work() as state:  # before the predictor, whose device it chooses
            data = read_data(self.data, self.split, layout=self.layout)
            make_folder(self.out.parent)
            predictor = Predictor.from_weights(self.weights)
            class_map = class_map_of(self.map, predictor.model.class_names, data)
            bank = embed_split(predictor, data, limit=self.limit, anonymous=self.anonymous, class_map=class_map)
        if state.is_main_process:
            write_bank(bank, self.out, half=self.half)
            print(quality_table(bank_quality(bank)))
            print(f"Wrote {bank_summary(bank)} to {self.out}")


def class_map_of(path: Path | None, weights_names: list[str], data: "LabelledSplit") -> "ClassMap | None":
    """The map that a file holds; None without a file.

    Raises:
        UserError: the file is none, or does not fit the weights or the data.
    """
    from ecenet.evaluation.class_map import read_class_map

    if path is None:
        return None
    return read_class_map(path, weights_names=weights_names, data_names=data.labels.class_names)


def make_folder(folder: Path) -> None:
    """Create it with its parents.

    Raises:
        UserError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "not-writable",
            f"Expected a folder to write to, but {folder} cannot be one ({error.strerror}); choose another path.",
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a file, and the folders above it where they are missing."""
    make_folder(path.parent)
    path.write_text(text)
