"""The `train` command. The form of the Train tab is checked against its options as well."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from ecenet.training.config import TrainConfig


@dataclass(frozen=True)
class Train:
    """Train on a labelled data set, or resume the run in `--out`."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str | None = None
    """Use the settings of a preset (`python -m ecenet recipes` lists them); other options override them."""

    def run(self) -> None:
        from ecenet.training.loop import train

        result = train(self.config)
        print(f"val mIoU {result.miou:.4f}; weights are in {self.config.out / 'model'}")
