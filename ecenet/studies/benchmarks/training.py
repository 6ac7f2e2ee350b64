"""Benchmarks of training speed: data loading versus computation, and two processes versus one."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ecenet.common.child_env import child_environment
from ecenet.common.distributed import launcher
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import read_data
from ecenet.data.loading import Batch
from ecenet.data.split import class_pixels
from ecenet.training.config import StartConfig, TrainConfig
from ecenet.training.loop import LOG_EVERY, log_every
from ecenet.training.recipe import option_words
from ecenet.training.run_folder import read_metrics
from ecenet.training.settings import options
from ecenet.training.setup import new_accelerator, new_batches, new_model, new_predictor
from ecenet.training.step import new_learner, optimisation_step

BLOCK = 5
"""Steps timed together; single steps vary because data is loaded ahead."""


def loading_ratio(config: TrainConfig, *, blocks: int = 8) -> dict[str, float]:
    """Seconds per step with real data and with a repeated batch, in alternating blocks of one run, and their ratio.

    These are the first steps of a training with these settings, so the backbone is frozen if `frozen_steps` is set.
    """
    timed = replace(config, steps=BLOCK * (blocks + 2))
    data = read_data(config.data.folder, config.data.train_split, layout=config.data.layout)
    pixels = class_pixels(data)
    accelerator = new_accelerator(timed)
    model = new_model(timed, data)
    learner = new_learner(
        timed,
        model,
        model.backbone.network,
        preparation=new_predictor(timed, model, device=accelerator.device),
        pixels=pixels,
        accelerator=accelerator,
    )
    real = new_batches(timed, data, pixels, accelerator)
    first = next(real)
    repeated = (first._replace(step=step) for step in count())

    def seconds(batches: Iterator[Batch]) -> float:
        start = time.perf_counter()
        for _ in range(BLOCK):
            optimisation_step(learner, next(batches), timed)
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / BLOCK

    seconds(repeated)
    pairs = [(seconds(real), seconds(repeated)) for _ in tqdm(range(blocks), desc="Loading", unit="block")]
    with_data, without = (float(np.median(column)) for column in zip(*pairs, strict=True))
    return {
        "seconds per step, real data": round(with_data, 4),
        "seconds per step, one batch repeated": round(without, 4),
        "real data / repeated batch": round(with_data / without, 3),
    }


def process_ratio(config: TrainConfig, *, steps: int = 3 * LOG_EVERY, threads: int = 2) -> dict[str, float]:
    """Images per second of two CPU processes with half the threads each and of one process with all, and the ratio."""
    # Load data in the main process and validate only at the end, so that only training steps are compared.
    measured = replace(
        config,
        steps=steps,
        save_every=steps,
        validate_every=steps,
        start=StartConfig(pretrained=False),
        data=replace(config.data, workers=0),
    )
    with tempfile.TemporaryDirectory() as folder:
        speeds = {}
        for processes in (1, 2):
            out = Path(folder) / f"{processes}"
            _run_training(replace(measured, out=out), processes=processes, threads=threads // processes)
            logged = [entry for entry in read_metrics(out) if "seconds" in entry and entry["step"] > LOG_EVERY]
            seconds = float(np.median([entry["seconds"] / log_every(steps) for entry in logged]))
            speeds[processes] = config.batch_size / seconds
    return {
        "images per second, one process": round(speeds[1], 2),
        "images per second, two processes": round(speeds[2], 2),
        "two processes / one": round(speeds[2] / speeds[1], 3),
    }


def _run_training(config: TrainConfig, *, processes: int, threads: int) -> None:
    environment = child_environment(OMP_NUM_THREADS=str(threads), CUDA_VISIBLE_DEVICES="")
    command = [*launcher(processes), "-m", "ecenet", "train", *option_words(options(config))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            "training-failed",
            f"Expected the training in {processes} processes to succeed, but it failed: "
            f"{done.stderr.strip().splitlines()[-1]}; run it manually.",
        )
