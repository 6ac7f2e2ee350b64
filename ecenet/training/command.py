"""The `train` command: its options, which the Train tab's form is checked against, too."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from ecenet.training.config import TrainConfig


@dataclass(frozen=True)
class Train:
    """Train on a labelled data set, or go on with the run in `--out`."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str | None = None
    """Begin from a recipe's settings (`python -m ecenet recipes` lists them); other options override it."""

    def run(self) -> None:
        from ecenet.training.loop import train

        result = train(self.config)
        print(f"val mIoU {result.miou:.4f}; weights are in {self.config.out / 'model'}")
