"""The training loop: setup → fit → validate. It can be resumed at any step and run in several processes.

To start several processes, on GPUs, nodes or CPUs: `torchrun --nproc-per-node 4 -m ecenet train …`, or
`accelerate launch`.
"""

import contextlib
import time
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from ecenet.data.loading import Batch
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.evaluate import Evaluation, evaluate
from ecenet.model.network import Network
from ecenet.training.checkpoint import RunState, load_checkpoint, save_checkpoint, save_weights
from ecenet.training.config import TrainConfig
from ecenet.training.interruption import stop_signals, warned
from ecenet.training.optimizer import learning_rate_factor
from ecenet.training.run_folder import describe_run, forget_log, locked, log
from ecenet.training.settings import lasting_settings
from ecenet.training.settled import notes, settled
from ecenet.training.setup import new_accelerator, new_batches, new_model, new_predictor, read_splits
from ecenet.training.snapshots import save_snapshot, take_snapshot
from ecenet.training.step import Learner, new_learner, optimisation_step

LOG_EVERY, LEAST_LOGGED = 20, 50
"""Maximum number of steps between two lines of the log, and minimum number of lines of a run."""


def log_every(steps: int) -> int:
    """Return the number of steps between two lines of the log."""
    return max(1, min(LOG_EVERY, steps // LEAST_LOGGED))


def train(config: TrainConfig) -> Evaluation:
    """Run or resume a training in `config.out`; `ecenet/training/run_folder.py` lists the files that it writes.

    Returns: the last validation, over all classes.
    Raises:
        UserError: data or settings are invalid, which is checked before the first step; the loss is not finite; the
            disk is full; or the device has too little memory.
        KeyboardInterrupt: the run was stopped by a signal, and has been saved.
    """
    config = settled(config)
    train_data, val_data, pixels = read_splits(config.data)
    accelerator = new_accelerator(config)
    for note in notes(config) if accelerator.is_main_process else ():
        print(f"Note: {note}")
    torch.manual_seed(config.seed)
    model = new_model(config, train_data)
    learner = new_learner(
        config,
        model,
        model.backbone.network,
        preparation=new_predictor(config, model, device=accelerator.device),
        pixels=pixels,
        accelerator=accelerator,
    )
    settings = lasting_settings(config, class_names=train_data.labels.class_names)
    state = RunState(model, learner.averaged, learner.optimizer, settings)
    with locked(config.out) if accelerator.is_main_process else contextlib.nullcontext():
        if (config.out / "last.pt").is_file():
            load_checkpoint(config.out / "last.pt", state)
        if accelerator.is_main_process:
            describe_run(config.out, settings=state.settings, processes=accelerator.num_processes)
            forget_log(config.out, after=state.step)
        if config.tensorboard:
            accelerator.init_trackers("tensorboard")
        batches = new_batches(config, train_data, pixels, accelerator, first_step=state.step)
        validate_every = config.validate_every or -(-len(train_data) // config.batch_size)
        evaluation = fit(config, learner, state, batches, val_data, validate_every=validate_every)
        if evaluation is None:  # the run was already complete
            averaged = averaged_weights(state.averaged)
            evaluation = evaluate(new_predictor(config, averaged, device=accelerator.device), val_data)
            if accelerator.is_main_process:
                save_weights(config.out / "model", averaged)
        accelerator.end_training()
    return evaluation


def fit(
    config: TrainConfig,
    learner: Learner,
    state: RunState,
    batches: Iterator[Batch],
    val_data: LabelledSplit,
    *,
    validate_every: int,
) -> Evaluation | None:
    """Run the remaining steps. Returns: the last validation, or None if no steps were left."""
    accelerator, main = learner.accelerator, learner.accelerator.is_main_process
    progress = tqdm(
        batches, initial=state.step, total=config.steps, desc="Training", unit="step", mininterval=5, disable=not main
    )
    logged = time.perf_counter()
    evaluation: Evaluation | None = None
    with stop_signals() as stop:
        for batch in progress:
            losses = optimisation_step(learner, batch, config)
            state.step = done = batch.step + 1
            stop_asked = asked_of_any(accelerator, asked=stop.is_set())
            last = done == config.steps or stop_asked
            if main and done % log_every(config.steps) == 0:
                entry = {name: round(value.item(), 5) for name, value in losses._asdict().items()}
                progress.set_postfix(entry, refresh=False)
                lr = config.optimizer.lr * learning_rate_factor(batch.step, config)
                seconds, logged = time.perf_counter() - logged, time.perf_counter()
                with warned(progress, unless=last):
                    log(config.out, {"step": done, **entry, "lr": lr, "seconds": round(seconds, 3)})
                accelerator.log(entry, step=done)
            if done % validate_every == 0 or done == config.steps:
                with warned(progress, unless=last):
                    evaluation = validate(config, accelerator, state, val_data, progress=progress)
            if main and (last or done % config.save_every == 0):
                with warned(progress, unless=last):
                    save_checkpoint(config.out / "last.pt", state)
            if stop_asked:
                raise KeyboardInterrupt
    return evaluation


def asked_of_any(accelerator: Accelerator, *, asked: bool) -> bool:
    """Return whether any of the processes was asked to stop, so that all end at the same step."""
    return bool(accelerator.reduce(torch.tensor(float(asked), device=accelerator.device), "sum") > 0)


def validate(
    config: TrainConfig,
    accelerator: Accelerator,
    state: RunState,
    data: LabelledSplit,
    *,
    progress: "tqdm[Batch]",
) -> Evaluation:
    """Evaluate the averaged weights at every stage, distributed over the processes. Logs the scores and saves the
    weights, also as the best ones if they are."""
    predictor = new_predictor(config, averaged_weights(state.averaged), device=accelerator.device)
    evaluation = evaluate(predictor, data)
    best = state.best < evaluation.miou
    state.best = max(state.best, evaluation.miou)
    if accelerator.is_main_process:
        snapshot = take_snapshot(predictor, data)
        scores = {key: value for key, value in evaluation.to_json().items() if key != "confusion"}
        log(config.out, {"step": state.step, "val": scores, "separation": snapshot.separation})
        accelerator.log({f"val/{stage}": miou for stage, miou in evaluation.stages.items()}, step=state.step)
        save_snapshot(config.out, snapshot, step=state.step)
        for folder in ("model", "best") if best else ("model",):
            save_weights(config.out / folder, averaged_weights(state.averaged))
        progress.write(f"step {state.step}: val mIoU {evaluation.miou:.4f}{' (best)' if best else ''}")
    return evaluation


def averaged_weights(averaged: AveragedModel) -> Network:
    """Return the averaged model, which is validated and saved."""
    assert isinstance(averaged.module, Network)
    return averaged.module
