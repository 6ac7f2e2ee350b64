"""From a run to a checkpoint that can be shared: half the size, with the figures measured on just these weights."""

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
    """Write `out` as fp16, put its own scores into its config's recipe, and write a model card.

    Args:
        sources: folders of trained models; the weights of several are averaged.
        data: labelled split to measure on.
        classes: also measure the mean over the first so many classes.
        image_size: longest side in pixels to predict at, instead of the one trained around.
        map_file: from the weights' classes to the data's, where they differ; see `ecenet/evaluation/class_map.py`.
        licence: of the weights, by Hugging Face's identifier, such as `cc-by-4.0`; the card says where there is none.
    Returns: the figures, JSON-able: split, images, and mIoU by stage over all and over the first classes.
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
    """The folder itself if it holds weights, else those of the run that it is: "best", "model" or both."""
    if any((folder / name).is_file() for name in ("config.json", SINGLE_FILE, INDEX_FILE)):
        return [folder]
    return [folder / name for name in names]


def load_average(folders: Sequence[Path]) -> Network:
    """One model whose weights are the mean of several that began from the same ones, or are steps of one run (a "model
    soup"); with the settings of the first.

    Raises:
        UserError: they are not of one architecture and the same classes.
    """
    models = [load_model(folder) for folder in folders]
    first, states = models[0], [model.state_dict() for model in models]
    for folder, model, state in zip(folders, models, states, strict=True):
        shapes = {name: tensor.shape for name, tensor in state.items()}
        if model.class_names != first.class_names or shapes != {name: t.shape for name, t in states[0].items()}:
            raise UserError(
                "tensor-mismatch",
                f"Expected models of one architecture and the same classes to average, but {folder} differs from "
                f"{folders[0]}; average runs that began from the same weights.",
            )
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    first.load_state_dict(mean)
    if len(models) > 1:
        # Those of one of them say nothing of their mean.
        first.temperature = 1.0
        first.unsure_below = None
    return first
