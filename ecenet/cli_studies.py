"""Commands that measure what the embeddings are good for; made as those in `cli.py`."""

import json
from dataclasses import dataclass
from pathlib import Path

from ecenet.cli import write_text


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
