"""The main commands. Each is a dataclass whose fields are the options and whose `run` calls the library."""

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
    """Serve the app, like `python app.py`."""

    options: tyro.conf.OmitArgPrefixes[Options] = field(default_factory=Options)

    def run(self) -> None:
        from ecenet.app.start import start

        start(self.options)


@dataclass(frozen=True)
class Evaluate:
    """Evaluate weights on a labelled data set."""

    data: Path
    """Folder of the data set."""
    layout: Layout = "folder"
    """Layout of the data: `images/<split>`, `masks/<split>` and `classes.json`, or that of a published data set."""
    weights: str = DEFAULT_WEIGHTS
    """Name of included weights, a folder, or a Hub id."""
    split: str = "val"
    classes: int | None = None
    """Compute the means over the first N classes only."""
    limit: int | None = None
    """Use at most N images, evenly spread."""
    image_size: int | None = None
    """Longest side in pixels of the network's input; by default that of the weights."""
    scales: tuple[float, ...] = (1.0,)
    """Test-time augmentation: average the probabilities at these multiples of the image size."""
    flip: bool = False
    """Test-time augmentation: also average with the mirrored image."""
    window: int | None = None
    """Side in pixels of sliding windows, which overlap by half; by default the whole image is used at once."""
    precision: Precision = "auto"
    """`auto` is bf16 if the hardware supports it natively."""
    boundary: bool = False
    """Also measure Boundary IoU, which takes longer."""
    embeddings: bool = True
    """Measure how well the embeddings of each stage separate the classes across photos, and how well they predict area
    and position of their masks. Not available with test-time augmentation."""
    map: Path | None = None
    """Class map if the data has other classes than the weights; the command `map` proposes one."""
    json: Path | None = None
    """File for the scores; printed by default."""

    def run(self) -> None:
        from ecenet.common.distributed import shared_work
        from ecenet.data.layouts.read import read_data
        from ecenet.evaluation.embedding_quality import quality_table
        from ecenet.evaluation.evaluate import evaluate
        from ecenet.evaluation.tta import Averaging
        from ecenet.inference.predictor import Predictor

        with shared_work() as state:  # before the predictor, since it selects the device
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
            print(f"Note: {doubt}", file=sys.stderr)  # on stderr, as the scores may be piped to a file
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
    """List the presets of `train` with their expected results."""

    def run(self) -> None:
        from ecenet.training.presets import recipes_table

        print(recipes_table())


@dataclass(frozen=True)
class Runs:
    """List training runs, newest first."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """Folder of the runs."""

    def run(self) -> None:
        from ecenet.training.run_folder import list_runs, runs_table

        runs = list_runs(self.folder)
        print(runs_table(runs) if runs else f"No runs in {self.folder}.")


@dataclass(frozen=True)
class Ship:
    """Convert a finished run to a checkpoint to share, in fp16 and with its measured scores in the config."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Finished runs or weights folders. Several are averaged; they must have been trained from the same weights."""
    out: Path
    """Folder of the checkpoint."""
    data: Path
    """Folder of the data set to evaluate on."""
    layout: Layout = "folder"
    """Layout of the data."""
    split: str = "val"
    classes: int | None = None
    """Also report the mean over the first N classes."""
    image_size: int | None = None
    """Longest side in pixels of the network's input; by default that of the training."""
    map: Path | None = None
    """Class map if the data has other classes than the weights; the command `map` proposes one."""
    which: Literal["best", "model", "both"] = "best"
    """Weights of a run: those of the best validation, of the last step, or the mean of both."""
    license: str | None = None
    """Licence of the weights for their model card, such as cc-by-4.0."""
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
    """Write all class embeddings of a labelled split, with the scores of their masks, to a Parquet file (a bank)."""

    data: Path
    """Folder of the data set."""
    out: Path
    """Output file, .parquet."""
    weights: str = DEFAULT_WEIGHTS
    """Name of included weights, a folder, or a Hub id."""
    layout: Layout = "folder"
    """Layout of the data."""
    split: str = "val"
    limit: int | None = None
    """Use at most N images, evenly spread."""
    half: bool = False
    """Save embeddings as fp16, half the size."""
    anonymous: bool = False
    """Number the images instead of storing their file names."""
    map: Path | None = None
    """Class map if the data has other classes than the weights; the command `map` proposes one. A bank with the data's
    classes can be opened in the Evaluate tab only."""

    def run(self) -> None:
        from ecenet.common.distributed import shared_work
        from ecenet.data.layouts.read import read_data
        from ecenet.evaluation.bank import bank_quality, bank_summary, embed_split
        from ecenet.evaluation.bank_parquet import write_bank
        from ecenet.evaluation.embedding_quality import quality_table
        from ecenet.inference.predictor import Predictor

        with shared_work() as state:  # before the predictor, since it selects the device
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
    """Read a class map; returns None without a file.

    Raises:
        UserError: the file is not a class map, or does not fit the weights or the data.
    """
    from ecenet.evaluation.class_map import read_class_map

    if path is None:
        return None
    return read_class_map(path, weights_names=weights_names, data_names=data.labels.class_names)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        UserError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "not-writable",
            f"Expected a writable folder, but {folder} cannot be created ({error.strerror}); choose another path.",
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a file, and create its folder if necessary."""
    make_folder(path.parent)
    path.write_text(text)
