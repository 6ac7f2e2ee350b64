"""Measure the duration of a training step on this machine by running ten steps.

`python -m ecenet.training.jobs.timing train --data … --out …` prints the figures as one line of JSON and writes no
files.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
import tyro

from ecenet.common.errors import UserError
from ecenet.training.command import Train
from ecenet.training.config import TrainConfig
from ecenet.training.presets import with_preset
from ecenet.training.settled import settled
from ecenet.training.setup import new_accelerator, new_batches, new_model, new_predictor, read_splits
from ecenet.training.snapshots import PHOTOS
from ecenet.training.step import new_learner, optimisation_step

STEPS = 10


@dataclass(frozen=True)
class StepTimes:
    """Durations in seconds."""

    resting: float
    """A step with a frozen backbone."""
    whole: float
    """A step in which all weights are trained."""
    validation: float
    """A validation, including saving."""
    begin: float = 0.0
    """The time before the first step, for loading the program and the weights and reading every mask."""


def time_steps(config: TrainConfig) -> StepTimes:
    """Train for ten steps on the run's data and predict two validation photos. Nothing is saved.

    Raises:
        UserError: as in `train`.
    """
    began = time.perf_counter()
    config = settled(config)
    rests = config.frozen_steps > 0
    trial = replace(
        config,
        steps=STEPS,
        optimizer=replace(config.optimizer, frozen_steps=STEPS // 2 if rests else 0, warmup_steps=STEPS),
    )
    data, val_data, pixels = read_splits(trial.data)
    accelerator = new_accelerator(trial)
    torch.manual_seed(trial.seed)
    model = new_model(trial, data)
    predictor = new_predictor(trial, model, device=accelerator.device)
    learner = new_learner(
        trial, model, model.backbone.network, preparation=predictor, pixels=pixels, accelerator=accelerator
    )
    batches = new_batches(trial, data, pixels, accelerator)
    begin = time.perf_counter() - began
    seconds = []
    last = time.perf_counter()
    for batch in batches:
        optimisation_step(learner, batch, trial).total.item()  # reading the value waits for the GPU
        now = time.perf_counter()
        seconds.append(now - last)
        last = now
    model.eval()
    for index in (0, len(val_data) - 1):  # the first also warms up
        last = time.perf_counter()
        predictor.predict(val_data.images[index])
    photo = time.perf_counter() - last
    # The first step of each kind also warms up.
    resting = _mean(seconds[1 : STEPS // 2]) if rests else _mean(seconds[1:])
    whole = _mean(seconds[STEPS // 2 + 1 :])
    validation = photo * (len(val_data) + min(PHOTOS, len(val_data))) + 1
    return StepTimes(resting, whole, validation, begin)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main(words: list[str]) -> None:
    """Print the figures of the run `python -m ecenet WORDS`."""
    try:
        times = time_steps(tyro.cli(Train, args=with_preset(words)[1:]).config)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(asdict(times)))


if __name__ == "__main__":
    main(sys.argv[1:])
