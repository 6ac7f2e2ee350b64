"""ECENet beside other decoders on the same backbone: same data, batches, optimiser and number of steps.

The decoders are those of `segmentation_models_pytorch`, which only this needs. Each contender that is done is kept in
`compare.json`, so that a comparison that was stopped goes on with the next one.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from ecenet.benchmark import interleaved
from ecenet.config import TrainConfig
from ecenet.data.read import read_data
from ecenet.data.split import LabelledSplit, class_pixels, class_presence
from ecenet.errors import UserError, disk_errors
from ecenet.files import replaced
from ecenet.images import image_size, load_image
from ecenet.losses import cross_entropy
from ecenet.metrics import confusion_matrix, mean_iou
from ecenet.model.ecenet import resize
from ecenet.model.tensor_file import read_tensors
from ecenet.optimizer import (
    freeze_batch_norm,
    learning_rate_factor,
    make_optimizer,
    moving_average,
    set_learning_rates,
)
from ecenet.outputs import ECENetOutput
from ecenet.predictor import Predictor
from ecenet.start import configured_losses, make_batches, make_class_weights, make_sampler, new_model

Decoder = Literal["ecenet", "deeplabv3plus", "fpn", "upernet"]


class Contender(NamedTuple):
    """A network of any decoder, which answers with logits or an `ECENetOutput`, and the part that is its backbone."""

    network: nn.Module
    backbone: nn.Module


def logits_of(output: Tensor | ECENetOutput) -> Tensor:
    """(B, K, h, w)."""
    return output if isinstance(output, Tensor) else output.logits


def compare(
    config: TrainConfig, *, decoders: tuple[Decoder, ...] = get_args(Decoder), rounds: int = 20
) -> dict[str, Any]:
    """Train each decoder for `config.steps` and score its averaged weights on `config.val_split`.

    Returns: `{decoder: {"miou", "parameters", "gflops", "milliseconds"}}`; times of one image, interleaved in one run.
    Raises:
        UserError: as for `train`; another architecture than ECENet; `segmentation_models_pytorch` is not installed.
    """
    if config.architecture != "ecenet":
        raise UserError(
            f"Expected ECENet to compare with other decoders, got {config.architecture}; leave --architecture out."
        )
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
            "miou": score_network(averaged, val_data, preparation),
            "steps": config.steps,
            "parameters": sum(parameter.numel() for parameter in averaged.parameters()),
            "gflops": gigaflops(averaged, preparation, val_data),
        }
        _write(path, results)
    images = preparation.working_image(load_image(val_data.images[0]))
    times = interleaved(
        {
            name: _timed(contender.network.eval().to(preparation.device), images, preparation)
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
) -> nn.Module:
    """The settings of `config` for any decoder; ECENet has the losses that only it can have, too.

    Two settings are left out: every backbone learns from the first step on, in all its stages.

    Returns: the network with averaged weights.
    """
    device = preparation.device
    network = contender.network.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(
        network, contender.backbone, lr=config.lr, backbone_lr=config.backbone_lr, weight_decay=config.weight_decay
    )
    averaged = AveragedModel(network, avg_fn=moving_average(config.ema), use_buffers=True)
    weights = make_class_weights(config, pixels, device=device)
    sampler = make_sampler(config, class_presence(data, pixels), pixels)
    batches = make_batches(config, data, sampler, device=device)
    for step, (images, labels) in enumerate(tqdm(batches, total=config.steps, desc=title, unit="step")):
        labels = labels.to(device)
        network.train()
        freeze_batch_norm(contender.backbone)
        factor = learning_rate_factor(
            step, steps=config.steps, warmup_steps=config.warmup_steps, schedule=config.schedule
        )
        set_learning_rates(optimizer, factor)
        with preparation.autocast():
            output = network(preparation.normalise(images.to(device)))
        if isinstance(output, Tensor):
            logits = resize(output, labels.shape[-2:])
            loss = cross_entropy(logits, labels, class_weights=weights, hard_pixels=config.hard_pixels)
        else:
            loss = configured_losses(config, output, labels, class_weights=weights).total
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        averaged.update_parameters(network)
    return averaged.module.eval()


@torch.inference_mode()
def score_network(network: nn.Module, data: LabelledSplit, preparation: Predictor) -> float:
    """mIoU over every class, each photo at its own size."""
    classes = data.labels.num_classes
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for index in tqdm(range(len(data)), desc=f"Scoring {data.split}", unit="image", leave=False):
        image, target = data.load(index)
        with preparation.autocast():
            logits = logits_of(network(preparation.working_image(image)))
        labels = resize(logits.float(), target.shape)[0].argmax(dim=0).cpu().numpy()
        confusion += confusion_matrix(target, labels, num_classes=classes)
    return mean_iou(confusion)


def gigaflops(network: nn.Module, preparation: Predictor, data: LabelledSplit) -> float:
    """Of one photo at the size that the network sees; a multiplication and its addition count as two."""
    size = preparation.working_size(image_size(data.images[0]))
    images = torch.zeros(1, 3, *size, device=preparation.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(images)
    return counter.get_total_flops() / 1e9


def _timed(network: nn.Module, images: Tensor, preparation: Predictor) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode(), preparation.autocast():
            network(images)

    return run


def _write(path: Path, results: dict[str, Any]) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as partial:
            partial.write_text(json.dumps(results, indent=1))


def comparison_table(results: dict[str, Any]) -> str:
    """Markdown, best mIoU first."""
    lines = ["| decoder | mIoU | parameters | GFLOPs | ms |", "|---|---|---|---|---|"]
    for name, row in sorted(results.items(), key=lambda item: -item[1]["miou"]):
        lines.append(
            f"| {name} | {100 * row['miou']:.1f} | {row['parameters'] / 1e6:.2f} M | {row['gflops']:.1f} "
            f"| {row['milliseconds']:.0f} |"
        )
    return "\n".join(lines)
