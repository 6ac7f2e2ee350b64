"""Conversion of a run to a checkpoint to share, at half the size and with measured scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ecenet.common.errors import UserError, disk_errors
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.class_map import read_class_map
from ecenet.evaluation.evaluate import check_classes, count_pixels, score
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model, save_model
from ecenet.model.network import Network
from ecenet.model.tensor_files import INDEX_FILE, SINGLE_FILE
from ecenet.training.shipping.model_card import model_card


def ship(
    sources: Sequence[Path],
    out: Path,
    *,
    data: LabelledSplit,
    classes: int | None,
    image_size: int | None,
    map_file: Path | None = None,
    licence: str | None = None,
) -> dict[str, Any]:
    """Write the weights as fp16 to `out`, with their scores in the config's recipe and a model card.

    Args:
        sources: folders of trained models; the weights of several are averaged.
        data: labelled split to evaluate on.
        classes: also compute the mean over the first N classes.
        image_size: longest side in pixels of the network's input; by default that of the training.
        map_file: class map from the weights' classes to the data's, see `ecenet/evaluation/class_map.py`.
        licence: Hugging Face identifier of the weights' licence, such as `cc-by-4.0`, or None.
    Returns: the figures as JSON values: split, images, and mIoU by stage over all and over the first classes.
    """
    trained = load_average(sources)
    class_map = None
    if map_file is not None:
        class_map = read_class_map(map_file, weights_names=trained.class_names, data_names=data.labels.class_names)
    names = trained.class_names if class_map is None else class_map.class_names
    check_classes(classes, names)
    trained.image_size = image_size or trained.image_size
    save_model(trained, out, half=True)
    model = load_model(out)
    counts = count_pixels(Predictor(model), data, class_map=class_map)
    every = score(counts).to_json()
    figures: dict[str, Any] = {
        "data": data.labels.name,
        "split": data.split,
        "images": every["images"],
        "image_size": model.image_size,
        "pixel_accuracy": every["pixel_accuracy"],
        "per_class": every["per_class"],
        f"miou_{len(names)}": every["stages"],
    }
    if classes is not None:
        figures[f"miou_{classes}"] = score(counts, classes=classes).to_json()["stages"]
    model.recipe = {**model.recipe, "figures": figures}
    save_model(model, out, half=True)
    with disk_errors(out):
        (out / "README.md").write_text(model_card(model, figures, title=out.resolve().name, licence=licence), "utf-8")
    return figures


def weights_in(folder: Path, *, names: Sequence[str]) -> list[Path]:
    """Return the folder itself if it contains weights, else the folders of weights in the run, such as "best"."""
    if any((folder / name).is_file() for name in ("config.json", SINGLE_FILE, INDEX_FILE)):
        return [folder]
    return [folder / name for name in names]


def load_average(folders: Sequence[Path]) -> Network:
    """Load a model with the average of several weights ("model soup"), which must be steps of one run or have been
    trained from the same weights. It has the settings of the first.

    Raises:
        UserError: the architectures or classes differ.
    """
    models = [load_model(folder) for folder in folders]
    first, states = models[0], [model.state_dict() for model in models]
    for folder, model, state in zip(folders, models, states, strict=True):
        shapes = {name: tensor.shape for name, tensor in state.items()}
        if model.class_names != first.class_names or shapes != {name: t.shape for name, t in states[0].items()}:
            raise UserError(
                "tensor-mismatch",
                f"Expected models with the same architecture and classes, but {folder} differs from "
                f"{folders[0]}; average runs that were trained from the same weights.",
            )
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    first.load_state_dict(mean)
    if len(models) > 1:
        # The calibration of a single model does not apply to the average.
        first.temperature = 1.0
        first.unsure_below = None
    return first
