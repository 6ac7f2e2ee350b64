"""Commands for labels: class maps between data sets, calibration of confidences, and relabelling of unlabelled
pixels."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from ecenet.cli.core import class_map_of, write_text
from ecenet.data.layouts.read import Layout


@dataclass(frozen=True)
class Map:
    """Propose a class map from the classes of the weights to those of a data set, for `evaluate --map`."""

    weights: tyro.conf.Positional[str]
    """Name of included weights, a folder, or a Hub id."""
    data: tyro.conf.Positional[Path]
    """Folder of the data set."""
    layout: Layout = "folder"
    """Layout of the data."""
    split: str = "val"
    out: Path | None = None
    """File for the map; printed by default. Review and correct it, since equal names can mean different things."""

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
        # On stderr, as the map may be piped to a file.
        for whose, names in (("weights", proposal.unmatched_weights), ("data", proposal.unmatched_data)):
            if names:
                print(f"No match for these classes of the {whose}: {', '.join(names)}", file=sys.stderr)


@dataclass(frozen=True)
class Calibrate:
    """Fit the temperature that calibrates the confidences, and find the threshold below which pixels are more likely
    wrong than correct, which the app marks as unsure. Both are written to the weights' config."""

    data: Path
    """Folder of the data set, with photos that the weights were not trained on."""
    weights: str
    """Name of included weights, or a folder."""
    layout: Layout = "folder"
    """Layout of the data."""
    split: str = "val"
    limit: int | None = None
    """Use at most N images, evenly spread."""
    map: Path | None = None
    """Class map if the data has other classes than the weights; the command `map` proposes one."""
    dry_run: bool = False
    """Print the results without writing them."""
    json: Path | None = None
    """File for the figures; they are printed as well."""

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
                f"Wrote them to {path}. Banks and warnings made with the previous confidences no longer match these "
                "weights: run `embed` and `consistency` again."
            )


@dataclass(frozen=True)
class Relabel:
    """Label unlabelled pixels by the predictions of weights, for a second round of training."""

    data: Path
    """Folder of the data set, in the folder layout. It is not changed."""
    weights: str
    """Weights of the first round, with the data's classes: a name, a folder, or a Hub id."""
    out: Path
    """Output folder for the new masks, with links to the images and the other splits. Running the same command again
    resumes it."""
    split: str = "train"
    classes: tuple[str, ...] = ()
    """Classes that unlabelled regions may contain; all by default."""
    files: str = "*"
    """Pattern of the file names of images whose masks are changed; other masks are copied."""
    min_probability: float = 0.35
    """Minimum probability of the chosen class among --classes; other pixels stay unlabelled."""

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
