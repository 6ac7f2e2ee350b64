"""The embedding bank of a run's best weights, made from its training data."""

from dataclasses import dataclass
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.layouts.read import read_data
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.bank import embed_split
from ecenet.evaluation.bank_parquet import BANK, write_bank
from ecenet.inference.predictor import Predictor
from ecenet.training.jobs.form import check_settings
from ecenet.training.jobs.launcher import find_run

MOST_PHOTOS = 400
"""Maximum number of photos of a bank, evenly spread over the training photos."""


@dataclass(frozen=True)
class RunData:
    """Both splits of a run."""

    best: Path
    """Folder of its best weights."""
    train: LabelledSplit
    val: LabelledSplit


def run_data(name: str | None, *, root: Path) -> RunData:
    """Read the data of a run that has weights.

    Raises:
        UserError: the run does not exist or has no weights yet, or its data can no longer be read.
    """
    run = find_run(name, root=root)
    best = run.folder / "best"
    if run.active or not (best / "config.json").is_file():
        raise UserError(
            "wrong-run-state",
            f"Expected a run with weights, but {run.name} is {run.state}{'' if run.active else ' and has none'}; "
            "wait until it has finished.",
        )
    config = check_settings(list(run.arguments), directory=run.directory)
    folder, layout = run.directory / config.data.folder, config.data.layout
    train, val = (read_data(folder, split, layout=layout) for split in (config.data.train_split, config.data.val_split))
    return RunData(best, train, val)


def make_bank(data: RunData, predictor: Predictor) -> Path:
    """Write the bank of a run's best weights to their folder.

    Args:
        predictor: predictor with these weights.
    Raises:
        UserError: the classes of the data have changed, a file is invalid, or the disk is full.
    """
    path = data.best / BANK
    write_bank(embed_split(predictor, data.train, limit=MOST_PHOTOS), path, half=True)
    return path
