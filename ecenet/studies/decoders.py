"""Compare ECENet with other decoders on the same backbone, data, batches, optimiser and number of steps.

The other decoders are from `segmentation_models_pytorch`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean
from typing import TypedDict

import torch
from torch import Tensor, nn

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.data.images import image_size, load_image
from ecenet.data.split import LabelledSplit
from ecenet.inference.predictor import Predictor
from ecenet.model.backbone import load_backbone_file
from ecenet.studies.benchmarks.single import count_gigaflops, interleaved
from ecenet.studies.benchmarks.smp import build_smp
from ecenet.studies.options import Decoder
from ecenet.studies.results import StudyResults, spread
from ecenet.studies.short_training import Candidate, check_study, score_network, shared_settings, train_candidate
from ecenet.training.config import TrainConfig
from ecenet.training.setup import new_model, new_predictor, read_splits

RESULTS_FILE = "compare.json"


class Row(TypedDict):
    """Results of a decoder."""

    miou: dict[str, float]
    """mIoU by seed (as a string)."""
    parameters: int
    gflops: float
    milliseconds: float
    """GFLOPs for one image."""


def compare(
    config: TrainConfig, *, decoders: Sequence[Decoder], seeds: Sequence[int], rounds: int = 20
) -> dict[str, Row]:
    """Train each decoder with each seed for `config.steps`, and evaluate its averaged weights on `config.val_split`.

    Results are saved in `config.out`; calling it again with the same settings resumes the study. Timings of all
    requested decoders are always measured anew, interleaved.

    Raises:
        UserError: as for `train` and `check_study`; initial weights that only ECENet can use; the folder contains
            results of other settings; `segmentation_models_pytorch` is not installed.
    """
    check_study(config, "be compared with other decoders")
    if config.start.start_from is not None:
        raise UserError(
            "conflicting-options",
            "Expected all decoders to start from the same backbone, got --start-from, which only works for ECENet; "
            "omit it or use --backbone-weights.",
        )
    train_data, val_data, pixels = read_splits(config.data)
    results = StudyResults(config.out / RESULTS_FILE, shared_settings(config, train_data))
    preparation = new_predictor(config, new_model(config, train_data), device=this_process().device)
    preparation.model.backbone.size_divisor = 32  # supported by all decoders
    # Build all networks first, to fail before training.
    untrained = {name: make_candidate(name, config, train_data).network for name in decoders}
    for seed in seeds:
        seeded = replace(config, seed=seed)
        for name in decoders:
            mious = results.rows.setdefault(name, {"miou": {}})["miou"]
            if str(seed) in mious:
                continue
            candidate = make_candidate(name, seeded, train_data)
            title = f"{name}, seed {seed}"
            averaged = train_candidate(candidate, seeded, train_data, pixels, preparation, title=title)
            mious[str(seed)] = score_network(averaged, val_data, preparation)
            results.save()
    images = preparation.working_image(load_image(val_data.images[0]))
    for network in untrained.values():
        network.eval().to(preparation.device).to(memory_format=torch.channels_last)
    times = interleaved(
        {name: _timed(network, images, preparation) for name, network in untrained.items()}, rounds=rounds
    )
    for name, network in untrained.items():
        results.rows[name] |= {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "gflops": gigaflops(network, preparation, val_data),
            "milliseconds": times[name],
        }
    results.save()
    return {name: results.rows[name] for name in decoders}


def make_candidate(name: Decoder, config: TrainConfig, data: LabelledSplit) -> Candidate:
    """A decoder with random weights on the configured backbone with pretrained weights."""
    torch.manual_seed(config.seed)
    if name == "ecenet":
        model = new_model(config, data)
        return Candidate(model, model.backbone.network)
    same_padding = config.model.same_padding and "mobilenetv2" in config.model.backbone
    network = build_smp(
        name,
        backbone=config.model.backbone,
        classes=data.labels.num_classes,
        pretrained=config.start.pretrained and config.start.backbone_weights is None,
        timm_options={"pad_type": "same"} if same_padding else {},
    )
    if config.start.backbone_weights is not None:
        load_backbone_file(network.encoder.model, config.start.backbone_weights)
    return Candidate(network, network.encoder.model)


def gigaflops(network: nn.Module, preparation: Predictor, data: LabelledSplit) -> float:
    """GFLOPs for one photo at working size, see `count_gigaflops`."""
    size = preparation.working_size(image_size(data.images[0]))
    images = torch.zeros(1, 3, *size, device=preparation.device)
    return count_gigaflops(lambda: network(images))


def _timed(network: nn.Module, images: Tensor, preparation: Predictor) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode(), preparation.autocast():
            network(images)

    return run


def comparison_table(results: dict[str, Row]) -> str:
    """Markdown table, best mIoU first; ± is the standard deviation over seeds, if there are several."""
    lines = ["| decoder | mIoU | parameters | GFLOPs | ms |", "|---|---|---|---|---|"]
    for name, row in sorted(results.items(), key=lambda item: -mean(item[1]["miou"].values())):
        lines.append(
            f"| {name} | {spread(list(row['miou'].values()))} | {row['parameters'] / 1e6:.2f} M | {row['gflops']:.1f} "
            f"| {row['milliseconds']:.0f} |"
        )
    return "\n".join(lines)
