"""ECENet beside other decoders on the same backbone: same data, batches, optimiser and number of steps.

The decoders are those of `segmentation_models_pytorch`, which only this needs. Each contender that is done is kept in
`compare.json`, so that a comparison that was stopped goes on with the next one.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from ecenet.benchmark import interleaved
from ecenet.config import TrainConfig
from ecenet.data.loading import training_batches
from ecenet.data.read import read_data
from ecenet.data.sampling import StepSampler, TrainingSamples
from ecenet.data.split import LabelledSplit, class_pixels, class_presence
from ecenet.errors import UserError, disk_errors
from ecenet.images import load_image
from ecenet.losses import balanced_class_weights, cross_entropy, segmentation_losses
from ecenet.metrics import confusion_matrix, mean_iou
from ecenet.model.ecenet import resize
from ecenet.model.tensor_file import read_tensors
from ecenet.optimizer import freeze_batch_norm, learning_rate_factor, moving_average, set_learning_rates
from ecenet.predictor import Predictor
from ecenet.start import new_model

Decoder = Literal["ecenet", "deeplabv3plus", "fpn", "upernet"]


class Contender(nn.Module):
    """A backbone with any decoder: `backbone` is what learns at its own rate, `logits` what is scored."""

    def __init__(self, network: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.backbone = [backbone]  # hidden from `parameters`, which `network` has already

    def forward(self, images: Tensor) -> Any:
        """What the loss takes: an `ECENetOutput`, or logits."""
        return self.network(images)

    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) → (B, K, h, w)."""
        output = self.network(images)
        return output if isinstance(output, Tensor) else output.logits


def compare(
    config: TrainConfig, *, decoders: tuple[Decoder, ...] = get_args(Decoder), rounds: int = 20
) -> dict[str, Any]:
    """Train each decoder for `config.steps` and score its averaged weights on `config.val_split`.

    Returns: `{decoder: {"miou", "parameters", "gflops", "milliseconds"}}`; times of one image, interleaved in one run.
    Raises:
        UserError: as for `train`; `segmentation_models_pytorch` is not installed.
    """
    train_data = read_data(config.data, config.train_split, layout=config.layout)
    val_data = read_data(config.data, config.val_split, layout=config.layout)
    pixels = class_pixels(train_data)
    class_pixels(val_data)
    path = config.out / "compare.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    preparation = Predictor(new_model(config, train_data))
    preparation.model.backbone.size_divisor = 32  # what all of them can take
    contenders = {name: make_contender(name, config, train_data) for name in decoders}
    for name, contender in contenders.items():
        if name in results:
            continue
        averaged = train_contender(contender, config, train_data, pixels, preparation, title=name)
        results[name] = {
            "miou": score_contender(averaged, val_data, preparation),
            "steps": config.steps,
            "parameters": sum(parameter.numel() for parameter in contender.parameters()),
            "gflops": gigaflops(contender, preparation, val_data),
        }
        _write(path, results)
    images = preparation.working_image(load_image(val_data.images[0]))
    times = interleaved(
        {
            name: _timed(contender.eval().to(preparation.device), images, preparation)
            for name, contender in contenders.items()
        },
        rounds=rounds,
    )
    for timed, milliseconds in times.items():
        results[timed]["milliseconds"] = milliseconds
    _write(path, results)
    return results


def make_contender(name: Decoder, config: TrainConfig, data: LabelledSplit) -> Contender:
    """A decoder with new weights on the configured backbone, whose pretrained weights are loaded."""
    torch.manual_seed(config.seed)
    if name == "ecenet":
        model = new_model(config, data)
        return Contender(model, model.backbone)
    try:
        import segmentation_models_pytorch as smp
    except ImportError as error:
        raise UserError(
            "Expected segmentation_models_pytorch for the other decoders, but it is not installed; "
            "pip install -r requirements-dev.txt."
        ) from error
    options: dict[str, Any] = {
        "encoder_name": f"tu-{config.model.backbone}",
        "encoder_weights": True if config.pretrained and config.backbone_weights is None else None,
        "classes": data.labels.num_classes,
    }
    if config.model.same_padding and "mobilenetv2" in config.model.backbone:
        options["pad_type"] = "same"
    match name:
        case "deeplabv3plus":
            network = smp.DeepLabV3Plus(**options, encoder_output_stride=16)
        case "fpn":
            network = smp.FPN(**options)
        case "upernet":
            network = smp.UPerNet(**options)
    if config.backbone_weights is not None:
        inner = network.encoder.model
        inner.load_state_dict(read_tensors(config.backbone_weights, wanted=inner.state_dict(), extra_allowed=True))
    return Contender(network, network.encoder)


def train_contender(
    contender: Contender,
    config: TrainConfig,
    data: LabelledSplit,
    pixels: np.ndarray,
    preparation: Predictor,
    *,
    title: str,
) -> Contender:
    """The settings of `config` for any decoder; what only ECENet has a loss for, it has here, too."""
    device = preparation.device
    contender.to(device).to(memory_format=torch.channels_last).train()
    (backbone,) = contender.backbone
    inner = {id(parameter) for parameter in backbone.parameters()}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in contender.parameters() if id(p) not in inner], "peak_lr": config.lr},
            {"params": list(backbone.parameters()), "peak_lr": config.backbone_lr},
        ],
        weight_decay=config.weight_decay,
    )
    average = moving_average(config.ema)
    averaged = copy.deepcopy(contender).eval()
    weights = balanced_class_weights(torch.from_numpy(pixels.sum(axis=0)), balance=config.class_balance).to(device)
    sampler = StepSampler(
        presence=class_presence(data, pixels),
        batch_size=config.batch_size,
        first_step=0,
        last_step=config.steps,
        seed=config.seed,
        paste=config.paste,
        pixels=pixels.sum(axis=0),
    )
    samples = TrainingSamples(data, crop_size=config.crop_size, image_size=config.image_size, scale=config.scale)
    batches = training_batches(samples, sampler, workers=config.workers, pin_memory=device.type == "cuda")
    for step, (images, labels) in enumerate(tqdm(batches, total=config.steps, desc=title, unit="step")):
        labels = labels.to(device)
        contender.train()
        freeze_batch_norm(backbone)
        factor = learning_rate_factor(
            step, steps=config.steps, warmup_steps=config.warmup_steps, schedule=config.schedule
        )
        set_learning_rates(optimizer, factor)
        with preparation.autocast():
            output = contender(preparation.normalise(images.to(device)))
        if isinstance(output, Tensor):
            loss = cross_entropy(resize(output, labels.shape[-2:]), labels, class_weights=weights)
        else:
            loss = segmentation_losses(
                output,
                labels,
                stage_weight=config.stage_weight,
                diversity_weight=config.diversity_weight,
                class_weights=weights,
            ).total
        loss.backward()
        nn.utils.clip_grad_norm_(contender.parameters(), config.clip_grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for old, new in zip(averaged.state_dict().values(), contender.state_dict().values(), strict=True):
                old.copy_(average(old, new, step))
    return averaged


@torch.inference_mode()
def score_contender(contender: Contender, data: LabelledSplit, preparation: Predictor) -> float:
    """mIoU over every class, each photo at its own size."""
    classes = data.labels.num_classes
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for index in tqdm(range(len(data)), desc=f"Scoring {data.split}", unit="image", leave=False):
        image, target = data.load(index)
        with preparation.autocast():
            logits = contender.logits(preparation.working_image(image))
        labels = resize(logits.float(), target.shape)[0].argmax(dim=0).cpu().numpy()
        confusion += confusion_matrix(target, labels, num_classes=classes)
    return mean_iou(confusion)


def gigaflops(contender: Contender, preparation: Predictor, data: LabelledSplit) -> float:
    """Of one photo at the size that the network sees; a multiplication and its addition count as two."""
    width, height = Image.open(data.images[0]).size
    images = torch.zeros(1, 3, *preparation.working_size((width, height)), device=preparation.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        contender.eval().logits(images)
    return counter.get_total_flops() / 1e9


def _timed(contender: Contender, images: Tensor, preparation: Predictor) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode(), preparation.autocast():
            contender.logits(images)

    return run


def _write(path: Path, results: dict[str, Any]) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1))


def comparison_table(results: dict[str, Any]) -> str:
    """Markdown, best mIoU first."""
    lines = ["| decoder | mIoU | parameters | GFLOPs | ms |", "|---|---|---|---|---|"]
    for name, row in sorted(results.items(), key=lambda item: -item[1]["miou"]):
        lines.append(
            f"| {name} | {100 * row['miou']:.1f} | {row['parameters'] / 1e6:.2f} M | {row['gflops']:.1f} "
            f"| {row['milliseconds']:.0f} |"
        )
    return "\n".join(lines)
