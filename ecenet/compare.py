"""ECENet beside other decoders on the same backbone: same data, batches, optimiser and number of steps.

The decoders are those of `segmentation_models_pytorch`, which only this needs. Each contender that is done is kept in
`compare.json`, so that a comparison that was stopped goes on with the next one.
"""

import json
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ecenet.benchmark import count_gigaflops, interleaved
from ecenet.config import TrainConfig
from ecenet.data.split import LabelledSplit
from ecenet.files import write_json
from ecenet.images import image_size, load_image
from ecenet.model.tensor_file import read_tensors
from ecenet.predictor import Predictor
from ecenet.smp_decoders import build_smp
from ecenet.start import new_model, read_splits
from ecenet.trial import Contender, check_ecenet, score_network, train_contender

Decoder = Literal["ecenet", "deeplabv3plus", "fpn", "upernet"]


def compare(
    config: TrainConfig, *, decoders: tuple[Decoder, ...] = get_args(Decoder), rounds: int = 20
) -> dict[str, Any]:
    """Train each decoder for `config.steps` and score its averaged weights on `config.val_split`.

    Returns: `{decoder: {"miou", "parameters", "gflops", "milliseconds"}}`; times of one image, interleaved in one run.
    Raises:
        UserError: as for `train`; another architecture than ECENet; `segmentation_models_pytorch` is not installed.
    """
    check_ecenet(config, "compare with other decoders")
    train_data, val_data, pixels = read_splits(config)
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
        write_json(path, results)
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
    write_json(path, results)
    return results


def make_contender(name: Decoder, config: TrainConfig, data: LabelledSplit) -> Contender:
    """A decoder with new weights on the configured backbone, whose pretrained weights are loaded."""
    torch.manual_seed(config.seed)
    if name == "ecenet":
        model = new_model(config, data)
        return Contender(model, model.backbone)
    same_padding = config.model.same_padding and "mobilenetv2" in config.model.backbone
    network = build_smp(
        name,
        backbone=config.model.backbone,
        classes=data.labels.num_classes,
        pretrained=config.pretrained and config.backbone_weights is None,
        timm_options={"pad_type": "same"} if same_padding else {},
    )
    if config.backbone_weights is not None:
        inner = network.encoder.model
        inner.load_state_dict(read_tensors(config.backbone_weights, wanted=inner.state_dict(), extra_allowed=True))
    return Contender(network, network.encoder)


def gigaflops(network: nn.Module, preparation: Predictor, data: LabelledSplit) -> float:
    """Of one photo at the size that the network sees, as `count_gigaflops` counts."""
    size = preparation.working_size(image_size(data.images[0]))
    images = torch.zeros(1, 3, *size, device=preparation.device)
    return count_gigaflops(lambda: network.eval()(images))


def _timed(network: nn.Module, images: Tensor, preparation: Predictor) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode(), preparation.autocast():
            network(images)

    return run


def comparison_table(results: dict[str, Any]) -> str:
    """Markdown, best mIoU first."""
    lines = ["| decoder | mIoU | parameters | GFLOPs | ms |", "|---|---|---|---|---|"]
    for name, row in sorted(results.items(), key=lambda item: -item[1]["miou"]):
        lines.append(
            f"| {name} | {100 * row['miou']:.1f} | {row['parameters'] / 1e6:.2f} M | {row['gflops']:.1f} "
            f"| {row['milliseconds']:.0f} |"
        )
    return "\n".join(lines)
