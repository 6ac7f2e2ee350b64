"""Training: setup → fit → validate, one visible loop, resumable at any step."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from ecenet.config import ModelConfig
from ecenet.data.folder import FolderSplit, class_presence, read_folder
from ecenet.data.sampling import StepSampler, TrainingSamples
from ecenet.errors import UserError
from ecenet.evaluate import Evaluation, evaluate
from ecenet.losses import segmentation_losses
from ecenet.model.backbone import load_backbone_file
from ecenet.model.ecenet import ECENet, build_model
from ecenet.predictor import Predictor, bf16_is_fast
from ecenet.weights import best_device, save_model


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Everything that decides its result."""

    data: Path
    """Folder with `images/<split>`, `masks/<split>` and `classes.json`."""
    out: Path
    """Run folder; an existing run in it is resumed."""
    backbone_weights: Path | None = None
    """safetensors file for the backbone; without it timm's pretrained weights are downloaded."""
    pretrained: bool = True
    """Whether to fetch timm's weights where no file is given."""
    model: ModelConfig = field(default_factory=ModelConfig)
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_size: int = 512
    """Longest side in pixels at which images are trained on (before scaling) and predicted."""
    crop_size: int = 384
    """Side of the square training crops, a multiple of the backbone's stride."""
    scale: tuple[float, float] = (0.5, 1.75)
    """Random scaling, relative to `image_size`."""
    train_split: str = "train"
    val_split: str = "val"
    steps: int = 6000
    batch_size: int = 8
    lr: float = 1e-3
    """Peak learning rate of the head (AdamW, poly schedule)."""
    backbone_lr: float = 4e-5
    frozen_steps: int = 3000
    """The backbone learns only after so many steps; until then a step costs less than half."""
    frozen_batch_norm: bool = True
    """Keep the backbone's batch-norm statistics and scales: small batches would spoil pretrained ones."""
    weight_decay: float = 0.01
    warmup_steps: int = 200
    stage_weight: float = 0.3
    """λ_s of method: weight of each stage's cross-entropy."""
    diversity_weight: float = 0.1
    """λ_d: weight of Feature Reconstruction's diversity loss; 0 is an ablation of the paper."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is validated and saved."""
    save_every: int = 200
    """Steps between checkpoints."""
    validate_every: int = 1000
    workers: int = 1
    seed: int = 0


def train(config: TrainConfig) -> Evaluation:
    """Run or resume a training; leaves `model/` (averaged weights) and `metrics.jsonl` in `config.out`.

    Returns: the last validation, over all classes.
    Raises:
        UserError: data or settings that cannot be trained on, found before the first step.
    """
    train_data, val_data = read_folder(config.data, config.train_split), read_folder(config.data, config.val_split)
    if config.crop_size % 32 or config.batch_size < 1 or config.steps < 1:
        raise UserError(
            f"Expected crop_size in multiples of 32 and at least one step of at least one image, got crop_size "
            f"{config.crop_size}, steps {config.steps}, batch_size {config.batch_size}; correct the options."
        )
    presence = class_presence(train_data)

    torch.manual_seed(config.seed)
    device = best_device()
    model = new_model(config, train_data).to(device, memory_format=torch.channels_last)
    averaged = AveragedModel(model, avg_fn=moving_average(config.ema), use_buffers=True)
    optimizer = make_optimizer(model, config)
    first_step = resume(config.out, model=model, averaged=averaged, optimizer=optimizer)

    batches = DataLoader(
        TrainingSamples(train_data, crop_size=config.crop_size, image_size=config.image_size, scale=config.scale),
        batch_sampler=StepSampler(
            presence=presence,
            batch_size=config.batch_size,
            first_step=first_step,
            last_step=config.steps,
            seed=config.seed,
        ),
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    predictor = Predictor(model, device=device)
    progress = tqdm(batches, initial=first_step, total=config.steps, desc="Training", unit="step", mininterval=5)
    for step, (pixels, labels) in enumerate(progress, start=first_step):
        backbone_learns = step >= config.frozen_steps
        set_learning_rates(optimizer, config, step)
        model.train()
        if config.frozen_batch_norm or not backbone_learns:
            freeze_batch_norm(model.backbone)

        images = predictor.normalise(pixels.to(device))
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16_is_fast(device)):
            with torch.set_grad_enabled(backbone_learns):
                features = model.backbone(images)
            output = model.forward_head(features)
        losses = segmentation_losses(
            output,
            labels.to(device),
            stage_weight=config.stage_weight,
            diversity_weight=config.diversity_weight,
        )
        if not torch.isfinite(losses.total):
            raise UserError(f"Expected a finite loss, got {losses.total.item()} at step {step}; lower lr and resume.")
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
            evaluation = evaluate(Predictor(averaged.module, device=device), val_data)
            log(config.out, {"step": done, "val": evaluation.to_json()})
            progress.write(f"step {done}: val mIoU {evaluation.miou:.4f}")
        if done % config.save_every == 0 or done == config.steps:
            save_checkpoint(config.out, step=done, model=model, averaged=averaged, optimizer=optimizer)

    result = evaluate(Predictor(averaged.module, device=device), val_data)
    save_model(averaged.module, config.out / "model")
    return result


def new_model(config: TrainConfig, data: FolderSplit) -> ECENet:
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
        load_backbone_file(model.backbone, str(config.backbone_weights))
    return model


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


def freeze_batch_norm(module: nn.Module) -> None:
    """Use the running statistics, and leave them as they are."""
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()


def save_checkpoint(
    out: Path, *, step: int, model: ECENet, averaged: AveragedModel, optimizer: torch.optim.Optimizer
) -> None:
    """Write the state beside the old one, then rename: a kill leaves one of the two whole."""
    out.mkdir(parents=True, exist_ok=True)
    state = {
        "step": step,
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    partial = out / "last.pt.part"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(out / "last.pt")
    save_model(averaged.module, out / "model")


def resume(out: Path, *, model: ECENet, averaged: AveragedModel, optimizer: torch.optim.Optimizer) -> int:
    """Restore the run in `out`, if there is one. Returns the step to go on with."""
    path = out / "last.pt"
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
    except Exception as error:
        raise UserError(
            f"Expected {path} to be a checkpoint of this run, but it is damaged or of another model "
            f"({' '.join(str(error).split())[:120]}); choose another --out or remove the file."
        ) from error
    return int(state["step"])


def log(out: Path, entry: dict[str, object]) -> None:
    """Append one line to `metrics.jsonl`."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def jsonable(config: TrainConfig) -> dict[str, object]:
    """The settings for `config.json`, without the paths of one machine."""
    settings = asdict(config)
    settings["backbone_weights"] = config.backbone_weights.name if config.backbone_weights else None
    for key in ("data", "out", "model"):
        settings.pop(key)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
