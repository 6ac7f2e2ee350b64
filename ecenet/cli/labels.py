"""Commands about labels: class maps between label spaces, calibrated confidences, labels for what has none."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from ecenet.cli.core import class_map_of, write_text
from ecenet.data.layouts.read import Layout


@dataclass(frozen=True)
class Map:
    """Propose which class of a data set each class of the weights counts as, for `evaluate --map`."""

    weights: tyro.conf.Positional[str]
    """Name of shipped weights, a folder, or a Hub id."""
    data: tyro.conf.Positional[Path]
    """Folder of the data set."""
    layout: Layout = "folder"
    """How the data lies there."""
    split: str = "val"
    out: Path | None = None
    """File to write the map to; it is printed without it. Read and correct it: names can mislead."""

    def run(self) -> None:
        from ecenet.data.layouts.read import read_data
        from ecenet.evaluation.propose_map import propose_map
        from ecenet.inference.weights import load_model

        data = read_data(self.data, self.split, layout=self.layout)
        proposal = propose_map(load_model(self.weights).class_names, data.labels.class_names)
        text = json.dumps(proposal.content, indent=1, ensure_ascii=False)
        if self.out is None:
            print(text)
        else:
            write_text(self.out, text)
            print(f"Wrote {self.out}")
        # Beside the map, which may be on its way into a file.
        for whose, names in (("weights", proposal.unmatched_weights), ("data", proposal.unmatched_data)):
            if names:
                print(f"No match for these classes of the {whose}: {', '.join(names)}", file=sys.stderr)


@dataclass(frozen=True)
class Calibrate:
    """Fit the temperature at which confidences say how often they are right, and find the confidence below which the
    page calls answers unsure: where they are more likely wrong than right. Writes both into the weights' config."""

    data: Path
    """Folder of the data set, of photos that the weights were not trained on."""
    weights: str
    """Name of shipped weights, or a folder."""
    layout: Layout = "folder"
    """How the data lies there."""
    split: str = "val"
    limit: int | None = None
    """Look at so many images only, evenly spread."""
    map: Path | None = None
    """Where the data's classes are others than the weights': a file such as the command `map` proposes."""
    dry_run: bool = False
    """Tell both and write nothing."""
    json: Path | None = None
    """File to write the figures to; they are printed as well."""

    def run(self) -> None:
        from ecenet.data.layouts.read import read_data
        from ecenet.evaluation.temperature import calibrate, calibration_summary
        from ecenet.inference.predictor import Predictor
        from ecenet.inference.weights import write_calibration

        data = read_data(self.data, self.split, layout=self.layout)
        predictor = Predictor.from_weights(self.weights)
        class_map = class_map_of(self.map, predictor.model.class_names, data)
        found = calibrate(predictor, data, limit=self.limit, class_map=class_map)
        print(calibration_summary(found))
        if self.json is not None:
            write_text(self.json, json.dumps(asdict(found), indent=1))
        if not self.dry_run:
            path = write_calibration(self.weights, found.temperature, unsure_below=found.unsure_below)
            print(
                f"Wrote them to {path}. Banks and warnings that were made with other confidences are not these "
                "weights' any more: run `embed` and `consistency` again."
            )


@dataclass(frozen=True)
class Relabel:
    """Label what masks leave unlabelled by weights that were trained on the rest, for a second round of training."""

    data: Path
    """Folder of the data set, in the folder layout. It is not changed."""
    weights: str
    """Name of shipped weights, a folder, or a Hub id: of the first round, with the data's classes."""
    out: Path
    """Folder for the new masks, with links to the images and the other splits. The same command continues an
    interrupted one."""
    split: str = "train"
    classes: tuple[str, ...] = ()
    """Choose among these classes only: those that unlabelled regions can hold. All by default."""
    files: str = "*"
    """Pattern of the names of the image files whose masks change; the others are copied."""
    min_probability: float = 0.35
    """Of the chosen class among --classes; less sure pixels stay unlabelled."""

    def run(self) -> None:
        from ecenet.data.layouts.folder import read_folder
        from ecenet.evaluation.relabel import relabel
        from ecenet.inference.predictor import Predictor

        done = relabel(
            Predictor.from_weights(self.weights),
            read_folder(self.data, self.split),
            self.out,
            classes=self.classes,
            files=self.files,
            min_probability=self.min_probability,
        )
        print(
            f"Wrote {done.masks} masks to {self.out}: {done.filled:.1%} of all pixels newly labelled, "
            f"{done.unlabelled:.1%} still unlabelled"
        )
