"""Timings as medians and ratios; every round times each candidate once, so that drift affects all of them equally."""

import copy
import platform
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model
from ecenet.model.config import ModelConfig, NetworkConfig
from ecenet.model.network import Network, build_network
from ecenet.model.outputs import ECENetOutput

WARM_UP_ROUNDS = 3


def benchmark(
    *, weights: str | None, size: tuple[int, int], rounds: int, half: bool | None = None
) -> dict[str, object]:
    """Time backbone and model, as trained and optimised for inference, and a prediction with all explanations.

    Args:
        weights: as for `load_model`; None uses random weights for 13 classes.
        size: (width, height) of the photo in pixels; its content is random.
        half: as for `Predictor`.
    Returns: a dictionary for JSON: medians in milliseconds, ratios, and measurement conditions.
    """
    model = load_model(weights) if weights else random_model(ModelConfig(), classes=13)
    trained, predictor = Predictor(copy.deepcopy(model), half=half), Predictor(model, half=half, optimised=True)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
    height, width = predictor.working_size(size)
    images = predictor.normalise(torch.zeros(1, 3, height, width, dtype=torch.uint8, device=predictor.device))
    features = predictor.extract_features(photo)

    def run_model(predictor: Predictor, take: Callable[[ECENetOutput], object]) -> None:
        with torch.inference_mode(), predictor.autocast():
            output = predictor.model(images)
        take(output)

    def take_logits(output: ECENetOutput) -> None:
        output.logits.float().cpu().numpy()

    milliseconds = interleaved(
        {
            "backbone as trained": lambda: run_backbone(trained, images),
            "model as trained, logits returned": lambda: run_model(trained, take_logits),
            "backbone": lambda: run_backbone(predictor, images),
            # The same pass, but different outputs are converted to arrays.
            "model, logits returned": lambda: run_model(predictor, take_logits),
            "model, every stage returned": lambda: run_model(predictor, all_arrays),
            "photo explained": lambda: predictor.predict(photo),
            "photo explained again from kept features": lambda: predictor.predict_features(features),
        },
        rounds=rounds,
    )
    return {
        "milliseconds": milliseconds,
        "ratios": {
            "every stage / logits": milliseconds["model, every stage returned"]
            / milliseconds["model, logits returned"],
            "model / backbone": milliseconds["model, logits returned"] / milliseconds["backbone"],
            "model / backbone as trained": milliseconds["model, logits returned"] / milliseconds["backbone as trained"],
            "both as trained": milliseconds["model as trained, logits returned"] / milliseconds["backbone as trained"],
        },
        "photo": f"{size[0]}×{size[1]}, analysed at {width}×{height}",
        "weights": weights or "random",
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "bf16": predictor.half,
        "device": str(predictor.device),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "rounds": rounds,
    }


def interleaved(candidates: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median time of each candidate in milliseconds; every round runs all in turn, after a warm-up."""
    seconds = round_seconds(candidates, rounds=rounds, warm_up=WARM_UP_ROUNDS)
    return {name: round(float(np.median(values)) * 1000, 2) for name, values in seconds.items()}


def round_seconds(candidates: dict[str, Callable[[], object]], *, rounds: int, warm_up: int) -> dict[str, list[float]]:
    """Seconds of each candidate in each round, after `warm_up` rounds that are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for index in tqdm(range(warm_up + rounds), desc="Timing", unit="round", leave=False):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if index >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def count_gigaflops(run: Callable[[], object]) -> float:
    """GFLOPs of the convolutions and matrix products in one call, including attention; a multiply-add counts as two.

    Other operations (norms, activations, resizing, sampling) are not counted."""
    # Use unfused attention, because some versions of PyTorch do not count all fused kernels.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9


def run_backbone(predictor: Predictor, images: torch.Tensor) -> None:
    with torch.inference_mode(), predictor.autocast():
        predictor.model.backbone(images)


def random_model(config: NetworkConfig, *, classes: int) -> Network:
    """A network with random weights and generic class names."""
    return build_network(
        config,
        class_names=[f"class {k}" for k in range(classes)],
        class_colors=[[k % 256, 255 - k % 256, 128] for k in range(classes)],
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def all_arrays(output: ECENetOutput) -> list[np.ndarray]:
    """All tensors of an output as fp32 arrays on the CPU."""
    leaves = tree_leaves(output)
    return [leaf.float().cpu().numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]


def ratio_quartiles(seconds: Sequence[float], backbone_seconds: Sequence[float]) -> list[float]:
    """Quartiles of the ratio of two entries' times per round."""
    ratios = np.asarray(seconds) / np.asarray(backbone_seconds)
    return [round(float(quartile), 4) for quartile in np.percentile(ratios, (25, 50, 75))]
