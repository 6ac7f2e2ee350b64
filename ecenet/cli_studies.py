"""Commands that measure what the embeddings are good for; made as those in `cli.py`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecenet.cli import write_text
from ecenet.data.read import Layout


@dataclass(frozen=True)
class Consistency:
    """Test whether embeddings far from their class's centroid warn of masks that are wrong."""

    bank: Path
    """Embeddings of training photos, written by `embed`: centroids and thresholds are taken from them."""
    val: Path
    """Embeddings of other photos, by the same weights: warnings are scored on them."""
    judge: str | None = None
    """Stage whose masks are judged, whatever stage the embeddings are of; each stage's own masks by default."""
    without: tuple[str, ...] = ()
    """Classes to leave out."""
    min_area: float = 0.005
    """Look at classes that are predicted on more than this share of an image."""
    failed_below: float = 0.5
    """Masks with a lower IoU are failures."""
    centroid_iou: float = 0.5
    """Centroids are made of masks with at least this IoU; 0 takes all."""
    resamples: int = 1000
    """Bootstrap samples of the photos, for the intervals."""
    seed: int = 0
    json: Path | None = None
    """File to write the figures to; the table is printed as well."""

    def run(self) -> None:
        from ecenet.bank import read_bank
        from ecenet.explore.failure_warning import WarningOptions, figures_json, judge_warnings, warnings_table

        reference = read_bank(self.bank)
        options = WarningOptions(
            judge=self.judge,
            without=self.without,
            min_area=self.min_area,
            failed_below=self.failed_below,
            centroid_iou=self.centroid_iou,
            resamples=self.resamples,
            seed=self.seed,
        )
        figures = judge_warnings(reference, read_bank(self.val, weights=reference.about["weights_hash"]), options)
        print(warnings_table(figures))
        if self.json is not None:
            write_text(self.json, json.dumps(figures_json(figures), indent=1))


@dataclass(frozen=True)
class Knockout:
    """Switch one part of the head off after the other, and score a labelled split each time."""

    data: Path
    """Folder of the data set."""
    layout: Layout = "folder"
    """How the data lies there."""
    split: str = "val"
    weights: str = "voc13"
    """Name of shipped weights, a folder, or a Hub id."""
    limit: int | None = None
    """Look at so many images only, evenly spread."""
    json: Path | None = None
    """File to write the figures to; the table is printed as well."""

    def run(self) -> None:
        from ecenet.data.read import read_data
        from ecenet.knockouts import knock_out_table, knock_outs_json, score_knock_outs
        from ecenet.predictor import Predictor

        data = read_data(self.data, self.split, layout=self.layout)
        scores = score_knock_outs(Predictor.from_weights(self.weights), data, limit=self.limit)
        print(knock_out_table(scores))
        if self.json is not None:
            write_text(self.json, json.dumps(knock_outs_json(scores), indent=1))


@dataclass(frozen=True)
class Fewshot:
    """Paint classes that the weights never saw on a few photos, and see how well they are found in others."""

    data: Path
    """Folder of a data set with other classes than the weights'."""
    layout: Layout = "folder"
    """How the data lies there."""
    weights: str = "voc13"
    """Name of shipped weights, a folder, or a Hub id."""
    support_split: str = "train"
    """Photos to paint on, by their true masks."""
    query_split: str = "val"
    """Photos to look in."""
    classes: tuple[str, ...] = ()
    """Classes to look for; by default all that the weights know neither by name nor by sense."""
    shots: tuple[int, ...] = (1, 5, 10)
    """Numbers of painted photos."""
    draws: int = 3
    """How often these are drawn."""
    limit: int | None = 20
    """Look for each class in so many photos that hold it, evenly spread."""
    rivals: tuple[Literal["own", "rest", "both"], ...] = ("own", "rest")
    """Whom a painted class competes with: the weights' own classes, the rest of the painted photos as a class, both."""
    stage: str = "final"
    """Whose masks tell where a painted class is."""
    prototypes: int = 3
    """Embeddings of a class at most, for the method of that name."""
    min_share: float = 0.01
    """Photos count as holding a class that makes up at least this share of them."""
    image_size: int | None = None
    """Longest side in pixels that the network sees; the weights' own by default."""
    seed: int = 0
    json: Path | None = None
    """File to write the figures to; the table is printed as well."""

    def run(self) -> None:
        from ecenet.data.read import read_data
        from ecenet.fewshot import FewShotOptions, few_shot, few_shot_table
        from ecenet.predictor import Predictor

        support, query = (
            read_data(self.data, split, layout=self.layout) for split in (self.support_split, self.query_split)
        )
        options = FewShotOptions(
            classes=self.classes,
            shots=self.shots,
            draws=self.draws,
            limit=self.limit,
            rivals=self.rivals,
            stage=self.stage,
            prototypes=self.prototypes,
            min_share=self.min_share,
            seed=self.seed,
        )
        predictor = Predictor.from_weights(self.weights, image_size=self.image_size)
        result = few_shot(predictor, support, query, options)
        print(few_shot_table(result))
        if self.json is not None:
            write_text(self.json, json.dumps(result.to_json(), indent=1))
