"""How fast training goes: does loading starve the step, and what do two processes gain over one?"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ecenet.common.child_env import child_environment
from ecenet.common.distributed import launcher
from ecenet.common.errors import UserError
from ecenet.data.loading import Batch
from ecenet.data.read import read_data
from ecenet.data.split import class_pixels, class_presence
from ecenet.inference.predictor import Predictor
from ecenet.training.config import TrainConfig
from ecenet.training.loop import LOG_EVERY
from ecenet.training.optimizer import freeze_batch_norm, make_optimizer
from ecenet.training.presets import option_words
from ecenet.training.run_folder import read_metrics
from ecenet.training.setup import configured_losses, make_batches, make_class_weights, make_sampler, new_model

BLOCK = 5
"""Steps that are timed together: loading runs ahead of the step, so single steps would tell little."""


def loading_ratio(config: TrainConfig, *, blocks: int = 8) -> dict[str, float]:
    """Seconds a step with real data and with one batch repeated, in alternating blocks of one run, and their ratio."""
    data = read_data(config.data, config.train_split, layout=config.layout)
    predictor = Predictor(new_model(config, data))
    model = predictor.model
    optimizer = make_optimizer(model, model.backbone, lr=0, backbone_lr=0, weight_decay=0)
    pixels = class_pixels(data)
    weights = make_class_weights(config, pixels, device=predictor.device)
    timed = replace(config, steps=BLOCK * (blocks + 2))
    sampler = make_sampler(timed, class_presence(data, pixels), pixels)
    real = make_batches(timed, data, sampler, device=predictor.device)
    repeated = repeat(next(real))

    def seconds(batches: Iterator[Batch]) -> float:
        start = time.perf_counter()
        for _ in range(BLOCK):
            images, labels = next(batches)
            model.train()
            freeze_batch_norm(model.backbone)
            with predictor.autocast():
                output = model(predictor.normalise(images.to(predictor.device)))
            configured_losses(config, output, labels.to(predictor.device), class_weights=weights).total.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if predictor.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / BLOCK

    seconds(repeated)
    pairs = [(seconds(real), seconds(repeated)) for _ in tqdm(range(blocks), desc="Loading", unit="block")]
    with_data, without = (float(np.median(column)) for column in zip(*pairs, strict=True))
    return {
        "seconds a step, real data": round(with_data, 4),
        "seconds a step, one batch repeated": round(without, 4),
        "real data / repeated batch": round(with_data / without, 3),
    }


def process_ratio(config: TrainConfig, *, steps: int = 3 * LOG_EVERY, threads: int = 2) -> dict[str, float]:
    """Images a second of two CPU processes with half the threads each, and of one process with all; their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        speeds = {}
        for processes in (1, 2):
            out = Path(folder) / f"{processes}"
            _run_training(replace(config, out=out, steps=steps), processes=processes, threads=threads // processes)
            seconds = [entry["seconds"] / LOG_EVERY for entry in read_metrics(out) if "seconds" in entry][1:]
            speeds[processes] = config.batch_size / float(np.median(seconds))
    return {
        "images a second, one process": round(speeds[1], 2),
        "images a second, two processes": round(speeds[2], 2),
        "two processes / one": round(speeds[2] / speeds[1], 3),
    }


def _run_training(config: TrainConfig, *, processes: int, threads: int) -> None:
    options = {
        "data": config.data,
        "out": config.out,
        "layout": config.layout,
        "train_split": config.train_split,
        "val_split": config.val_split,
        "crop_size": config.crop_size,
        "image_size": config.image_size,
        "batch_size": config.batch_size,
        "frozen_steps": config.frozen_steps,
        "steps": config.steps,
        "validate_every": config.steps,
        "save_every": config.steps,
        "workers": 0,
        "pretrained": False,
    }
    environment = child_environment(OMP_NUM_THREADS=str(threads), CUDA_VISIBLE_DEVICES="")
    command = [*launcher(processes), "-m", "ecenet", "train", *option_words(options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            "training-failed",
            f"Expected a training in {processes} processes to end well, but it did not: "
            f"{done.stderr.strip().splitlines()[-1]}; run it by hand.",
        )
