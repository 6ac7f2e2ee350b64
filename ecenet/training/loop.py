"""Training: setup → fit → validate, one visible loop, resumable at any step, alone or in several processes.

Several processes: `torchrun --nproc-per-node 4 -m ecenet train …`, or `accelerate launch`, for GPUs, nodes or CPUs.
"""

import contextlib
import time
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from ecenet.common.distributed import only_cpu
from ecenet.common.errors import UserError
from ecenet.data.sampling import StepSampler
from ecenet.data.split import LabelledSplit, class_presence
from ecenet.evaluation.evaluate import Evaluation, evaluate
from ecenet.inference.predictor import Predictor
from ecenet.model.network import Network
from ecenet.training.checkpoint import RunState, load_checkpoint, save_checkpoint, save_weights
from ecenet.training.config import HALF, TrainConfig
from ecenet.training.interruption import stop_signals, too_large, warned
from ecenet.training.losses import Losses, share_labelled
from ecenet.training.optimizer import (
    averaged_weights,
    choose_learners,
    freeze_batch_norm,
    leading_stages,
    learners,
    learning_rate_factor,
    make_optimizer,
    moving_average,
    set_learning_rates,
)
from ecenet.training.run_folder import describe_run, forget_log, locked, log
from ecenet.training.setup import (
    configured_losses,
    lasting_settings,
    make_batches,
    make_class_weights,
    make_sampler,
    new_model,
    read_splits,
)
from ecenet.training.snapshots import save_snapshot, take_snapshot

LOG_EVERY = 20
"""Steps."""


def train(config: TrainConfig) -> Evaluation:
    """Run or resume a training in `config.out`; `ecenet/training/run_folder.py` says what it leaves there.

    Returns: the last validation, over all classes.
    Raises:
        UserError: data or settings that cannot be trained on, found before the first step; a loss that is not finite;
            a disk that is full; a device that is too small.
        KeyboardInterrupt: somebody asked the run to stop; it has been saved.
    """
    train_data, val_data, pixels = read_splits(config)
    presence = class_presence(train_data, pixels)

    accelerator = Accelerator(
        cpu=only_cpu(),
        log_with="tensorboard" if config.tensorboard else None,
        project_dir=config.out,
        # While the backbone is frozen, its weights have no gradient to wait for.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=config.frozen_steps > 0)],
    )
    divisor = accelerator.num_processes * config.accumulate
    if config.batch_size % divisor:
        raise UserError(
            "conflicting-options",
            f"Expected batch_size to be a multiple of processes × accumulate = {divisor}, got {config.batch_size}; "
            f"choose {-(-config.batch_size // divisor) * divisor}.",
        )

    torch.manual_seed(config.seed)
    model = new_model(config, train_data).to(accelerator.device).to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda" and not config.frozen_batch_norm:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    state = RunState(
        model,
        AveragedModel(model, multi_avg_fn=moving_average(config.ema), use_buffers=True),
        make_optimizer(
            model,
            model.backbone,
            lr=config.lr,
            backbone_lr=config.backbone_lr,
            weight_decay=config.weight_decay,
            layer_decay=config.layer_decay,
        ),
        lasting_settings(config, class_names=train_data.labels.class_names),
    )
    with locked(config.out) if accelerator.is_main_process else contextlib.nullcontext():
        if (config.out / "last.pt").is_file():
            load_checkpoint(config.out / "last.pt", state)
        if accelerator.is_main_process:
            describe_run(config.out, settings=state.settings, processes=accelerator.num_processes)
            forget_log(config.out, after=state.step)
        if config.tensorboard:
            accelerator.init_trackers("tensorboard")
        sampler = make_sampler(
            config,
            presence,
            pixels,
            first_step=state.step,
            part=accelerator.process_index,
            parts=accelerator.num_processes,
        )
        weights = make_class_weights(config, pixels, device=accelerator.device)
        evaluation = fit(config, accelerator, state, sampler, train_data, val_data, class_weights=weights)
        if evaluation is None:  # the run was complete already
            averaged = averaged_weights(state.averaged)
            evaluation = evaluate(make_predictor(config, accelerator, averaged), val_data)
            if accelerator.is_main_process:
                save_weights(config.out / "model", averaged)
        accelerator.end_training()
    return evaluation


def fit(
    config: TrainConfig,
    accelerator: Accelerator,
    state: RunState,
    sampler: StepSampler,
    train_data: LabelledSplit,
    val_data: LabelledSplit,
    *,
    class_weights: Tensor,
) -> Evaluation | None:
    """Every step that is left. Returns: the last validation; None where no step was left."""
    model, optimizer, main = state.model, state.optimizer, accelerator.is_main_process
    never_learns = leading_stages(model, config.frozen_stages)
    choose_learners(model.backbone, learns=True, never=never_learns)
    network = accelerator.prepare_model(torch.compile(model) if config.compile else model)
    predictor = make_predictor(config, accelerator, model)
    batches = make_batches(config, train_data, sampler, device=accelerator.device)
    validate_every = config.validate_every or -(-len(train_data) // config.batch_size)
    progress = tqdm(
        batches, initial=state.step, total=config.steps, desc="Training", unit="step", mininterval=5, disable=not main
    )
    logged = time.perf_counter()
    evaluation: Evaluation | None = None
    with stop_signals() as stop:
        for pixels, labels in progress:
            step = state.step
            torch.manual_seed(int(np.random.SeedSequence((config.seed, step, sampler.part.start)).generate_state(1)[0]))
            factor = learning_rate_factor(
                step, steps=config.steps, warmup_steps=config.warmup_steps, schedule=config.schedule
            )
            set_learning_rates(optimizer, factor)
            backbone_learns = step >= config.frozen_steps
            model.train()
            if config.frozen_batch_norm or not backbone_learns:
                freeze_batch_norm(model.backbone)
            choose_learners(model.backbone, learns=backbone_learns, never=never_learns)

            labels = labels.to(accelerator.device)
            agreed = torch.stack([share_labelled(labels), torch.tensor(float(stop.is_set()), device=labels.device)])
            labelled_share, stop_asked = accelerator.reduce(agreed, "mean")
            figures = torch.zeros(len(Losses._fields), device=labels.device)
            parts = list(zip(pixels.chunk(config.accumulate), labels.chunk(config.accumulate), strict=True))
            try:
                for part, (part_pixels, part_labels) in enumerate(parts, start=1):
                    whole = part == len(parts)
                    with contextlib.nullcontext() if whole else accelerator.no_sync(network):
                        with predictor.autocast():
                            images = predictor.normalise(part_pixels.to(accelerator.device))
                            output = network(images)
                        losses = configured_losses(
                            config, output, part_labels, class_weights=class_weights, labelled_share=labelled_share
                        )
                        accelerator.backward(losses.total / len(parts))
                    figures += torch.stack(losses).detach() / len(parts)
            except torch.OutOfMemoryError as error:
                raise too_large(config, processes=accelerator.num_processes) from error
            figures = accelerator.reduce(figures, "mean")
            if not torch.isfinite(figures[0]):
                names = ", ".join(train_data.images[key.image].name for key in sampler.batch(step))
                raise UserError(
                    "loss-not-finite",
                    f"Expected a finite loss, got {figures[0].item()} at step {step} from {names}; "
                    "look at these files, or lower lr in a new --out.",
                )
            accelerator.clip_grad_norm_(learners(optimizer), config.clip_grad)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            state.averaged.update_parameters(model)

            state.step = done = step + 1
            last = done == config.steps or stop_asked > 0
            if main and done % LOG_EVERY == 0:
                entry = dict(zip(Losses._fields, (round(value, 5) for value in figures.tolist()), strict=True))
                progress.set_postfix(entry, refresh=False)
                seconds, logged = time.perf_counter() - logged, time.perf_counter()
                with warned(progress, unless=last):
                    log(config.out, {"step": done, **entry, "lr": factor * config.lr, "seconds": round(seconds, 3)})
                accelerator.log(entry, step=done)
            if done % validate_every == 0 or done == config.steps:
                with warned(progress, unless=last):
                    evaluation = validate(config, accelerator, state, val_data, progress=progress)
            if main and (last or done % config.save_every == 0):
                with warned(progress, unless=last):
                    save_checkpoint(config.out / "last.pt", state)
            if stop_asked > 0:
                raise KeyboardInterrupt
    return evaluation


def validate(
    config: TrainConfig,
    accelerator: Accelerator,
    state: RunState,
    data: LabelledSplit,
    *,
    progress: Any,
) -> Evaluation:
    """Score the averaged weights at every stage, the photos spread over the processes; log it, keep the weights and,
    if they are the best yet, keep them as such."""
    predictor = make_predictor(config, accelerator, averaged_weights(state.averaged))
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


def make_predictor(config: TrainConfig, accelerator: Accelerator, model: Network) -> Predictor:
    """Images and precision for training and validation alike."""
    return Predictor(model, device=accelerator.device, half=HALF[config.precision])
