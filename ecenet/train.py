"""Training: setup → fit → validate, one visible loop, resumable at any step."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from ecenet.config import TrainConfig
from ecenet.data.folder import read_folder
from ecenet.data.sampling import StepSampler, TrainingSamples
from ecenet.data.split import LabelledSplit, class_pixels, class_presence
from ecenet.errors import UserError
from ecenet.evaluate import Evaluation, evaluate
from ecenet.losses import balanced_class_weights, segmentation_losses
from ecenet.model.backbone import load_backbone_file
from ecenet.model.ecenet import ECENet, build_model
from ecenet.predictor import Predictor
from ecenet.weights import best_device, save_model

Batch = tuple[Tensor, Tensor]
"""(B, 3, S, S) uint8 RGB, (B, S, S) int64 labels."""


def train(config: TrainConfig) -> Evaluation:
    """Run or resume a training; leaves `model/` (averaged weights) and `metrics.jsonl` in `config.out`.

    Returns: the last validation, over all classes.
    Raises:
        UserError: data or settings that cannot be trained on, found before the first step.
    """
    check_settings(config)
    train_data, val_data = read_folder(config.data, config.train_split), read_folder(config.data, config.val_split)
    pixels_of_image = class_pixels(train_data)
    presence = class_presence(train_data, pixels_of_image)
    class_pixels(val_data)  # a bad mask would else end the run at its first validation

    torch.manual_seed(config.seed)
    device = best_device()
    model = new_model(config, train_data).to(device).to(memory_format=torch.channels_last)
    averaged = AveragedModel(model, avg_fn=moving_average(config.ema), use_buffers=True)
    optimizer = make_optimizer(model, config)
    first_step = resume(config, model=model, averaged=averaged, optimizer=optimizer)
    forget_log(config.out, after=first_step)

    batches = DataLoader(
        TrainingSamples(train_data, crop_size=config.crop_size, image_size=config.image_size, scale=config.scale),
        batch_sampler=StepSampler(
            presence=presence,
            batch_size=config.batch_size,
            first_step=first_step,
            last_step=config.steps,
            seed=config.seed,
            paste=config.paste,
            pixels=pixels_of_image.sum(axis=0),
        ),
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        # Else each start would draw a number from the global generator, and a resumed run would differ.
        generator=torch.Generator(),
    )
    predictor = Predictor(model, device=device)
    class_weights = balanced_class_weights(torch.from_numpy(pixels_of_image.sum(axis=0)), balance=config.class_balance)
    class_weights = class_weights.to(device)
    never_learns = leading_stages(model, config.frozen_stages)
    evaluation: Evaluation | None = None
    progress = tqdm(
        in_one_sentence(batches), initial=first_step, total=config.steps, desc="Training", unit="step", mininterval=5
    )
    for step, (pixels, labels) in enumerate(progress, start=first_step):
        backbone_learns = step >= config.frozen_steps
        set_learning_rates(optimizer, config, step)
        model.train()
        if config.frozen_batch_norm or not backbone_learns:
            freeze_batch_norm(model.backbone)

        images = predictor.normalise(pixels.to(device))
        for parameter in model.backbone.parameters():
            parameter.requires_grad_(backbone_learns)
        for parameter in never_learns:
            parameter.requires_grad_(False)
        with predictor.autocast():
            output = model(images)
        losses = segmentation_losses(
            output,
            labels.to(device),
            stage_weight=config.stage_weight,
            diversity_weight=config.diversity_weight,
            presence_weight=config.presence_weight,
            stage_loss=config.stage_loss,
            hard_pixels=config.hard_pixels,
            class_weights=class_weights,
        )
        if not torch.isfinite(losses.total):
            raise UserError(
                f"Expected a finite loss, got {losses.total.item()} at step {step}; lower lr in a new --out."
            )
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(model)

        done = step + 1
        if done % 20 == 0:
            figures = {name: round(value.item(), 4) for name, value in losses._asdict().items()}
            progress.set_postfix(figures, refresh=False)
            log(config.out, {"step": done, **figures})
        if done % config.validate_every == 0 or done == config.steps:
            evaluation = evaluate(Predictor(averaged_weights(averaged), device=device), val_data)
            log(config.out, {"step": done, "val": evaluation.to_json()})
            progress.write(f"step {done}: val mIoU {evaluation.miou:.4f}")
        if done % config.save_every == 0 or done == config.steps:
            save_checkpoint(config, step=done, model=model, averaged=averaged, optimizer=optimizer)

    # For a run that was complete already, though perhaps killed while it wrote this.
    save_model(averaged_weights(averaged), config.out / "model")
    return evaluation or evaluate(Predictor(averaged_weights(averaged), device=device), val_data)


def check_settings(config: TrainConfig) -> None:
    """Refuse what no run can use, before work is spent on it."""
    low, high = config.scale
    rules = [
        ("crop_size", config.crop_size > 0 and config.crop_size % 32 == 0, "a positive multiple of 32"),
        ("scale", 0 < low <= high, "two positive numbers, the smaller first"),
        ("image_std", min(config.image_std) > 0, "positive"),
        ("ema", 0 <= config.ema < 1, "at least 0 and below 1"),
    ]
    for name in ("image_size", "steps", "batch_size", "save_every", "validate_every"):
        rules.append((name, getattr(config, name) >= 1, "at least 1"))
    for name in ("lr", "backbone_lr", "weight_decay", "stage_weight", "diversity_weight", "workers", "seed"):
        rules.append((name, 0 <= getattr(config, name) < float("inf"), "0 or more"))
    for name, fits, wanted in rules:
        if not fits:
            raise UserError(f"Expected {name} to be {wanted}, got {getattr(config, name)}; correct the option.")


def in_one_sentence(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; a `UserError` from a worker process without the traceback that is put around it there."""
    try:
        yield from batches
    except UserError as error:
        raise UserError(str(error).strip().splitlines()[-1].removeprefix("ecenet.errors.UserError: ")) from None


def new_model(config: TrainConfig, data: LabelledSplit) -> ECENet:
    """A model for the data's classes, its backbone pretrained."""
    model = build_model(
        config.model,
        class_names=data.labels.class_names,
        class_colors=data.labels.class_colors,
        image_mean=list(config.image_mean),
        image_std=list(config.image_std),
        image_size=config.image_size,
        recipe={"data": data.labels.name, "train": jsonable(config)},
        pretrained=config.pretrained and config.backbone_weights is None,
    )
    if config.backbone_weights is not None:
        load_backbone_file(model.backbone, config.backbone_weights)
    return model


def leading_stages(model: ECENet, count: int) -> list[nn.Parameter]:
    """Parameters of the backbone up to and with its `count`th stage of `out_indices`."""
    if count == 0:
        return []
    network: Any = model.backbone.network
    last = f"{network.feature_info.module_name()[count - 1]}."
    names = [name for name, _ in network.named_parameters()]
    end = max(index for index, name in enumerate(names) if name.startswith(last)) + 1
    return [parameter for _, parameter in network.named_parameters()][:end]


def make_optimizer(model: ECENet, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with four groups: backbone or head, with weight decay (matrices) or without (norms, biases)."""
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        peak = config.backbone_lr if name.startswith("backbone.") else config.lr
        groups.setdefault((peak, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "peak_lr": peak, "weight_decay": config.weight_decay if decays else 0.0}
            for (peak, decays), parameters in groups.items()
        ]
    )


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average whose decay grows with the updates, so that short runs forget their random start."""

    def average(old: Tensor, new: Tensor, updates: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        ramped = min(decay, (1 + int(updates)) / (10 + int(updates)))
        return old.lerp(new.to(old.dtype), 1 - ramped)

    return average


def set_learning_rates(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> None:
    """Linear warm-up, then a polynomial decay of power 0.9 to 0."""
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    factor = warmup * (1 - step / config.steps) ** 0.9
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def averaged_weights(averaged: AveragedModel) -> ECENet:
    """The model inside: what is validated and saved."""
    assert isinstance(averaged.module, ECENet)
    return averaged.module


def freeze_batch_norm(module: nn.Module) -> None:
    """Use the running statistics, and leave them as they are."""
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()


def save_checkpoint(
    config: TrainConfig, *, step: int, model: ECENet, averaged: AveragedModel, optimizer: torch.optim.Optimizer
) -> None:
    """Write the state beside the old one, then rename: a kill leaves one of the two whole."""
    config.out.mkdir(parents=True, exist_ok=True)
    state = {
        "settings": lasting_settings(config),
        "step": step,
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    partial = config.out / "last.pt.part"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(config.out / "last.pt")
    save_model(averaged_weights(averaged), config.out / "model")


def resume(config: TrainConfig, *, model: ECENet, averaged: AveragedModel, optimizer: torch.optim.Optimizer) -> int:
    """Restore the run in `config.out`, if there is one. Returns the step to go on with.

    Raises:
        UserError: the checkpoint is damaged, or its run began with other settings.
    """
    path = config.out / "last.pt"
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        now, then = lasting_settings(config), state["settings"]
        differing = [f"{name} {then.get(name)} → {now.get(name)}" for name in now if now[name] != then.get(name)]
        if differing:
            raise UserError(
                f"Expected the settings that the run in {config.out} began with, but they differ "
                f"({', '.join(differing)}); restore them or choose another --out."
            )
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"Expected {path} to be a checkpoint of this run, but it is damaged or of another model "
            f"({' '.join(str(error).split())[:120]}); choose another --out or remove the file."
        ) from error
    return int(state["step"])


def forget_log(out: Path, *, after: int) -> None:
    """Drop what a killed run logged after its last checkpoint: those steps will be logged again."""
    path = out / "metrics.jsonl"
    if path.is_file():
        whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        path.write_text("".join(line for line in whole if json.loads(line)["step"] <= after))


def log(out: Path, entry: dict[str, object]) -> None:
    """Append one line to `metrics.jsonl`."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(entry, allow_nan=False) + "\n")


def jsonable(config: TrainConfig) -> dict[str, object]:
    """The settings for `config.json`, without the paths of one machine."""
    settings = asdict(config)
    settings["backbone_weights"] = config.backbone_weights.name if config.backbone_weights else None
    for key in ("data", "out", "model"):
        settings.pop(key)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def lasting_settings(config: TrainConfig) -> dict[str, object]:
    """What a resumed run must share with its start; of the data only the folder's name, so that it may move."""
    settings = jsonable(config) | asdict(config.model) | {"data": config.data.resolve().name}
    return {key: value for key, value in settings.items() if key not in ("workers", "save_every", "validate_every")}
