"""From a run to a checkpoint that can be shared: half the size, with the figures measured on just these weights."""

from pathlib import Path
from typing import Any

from ecenet.data.split import LabelledSplit
from ecenet.evaluate import check_classes, count_pixels, score
from ecenet.predictor import Predictor
from ecenet.weights import load_model, save_model


def ship(
    source: Path, out: Path, *, data: LabelledSplit, classes: int | None, image_size: int | None
) -> dict[str, Any]:
    """Write `out` as fp16 and put its own scores into its config's recipe.

    Args:
        source: folder of the trained model.
        data: labelled split to measure on.
        classes: also measure the mean over the first so many classes.
        image_size: longest side in pixels to predict at, instead of the one trained around.
    Returns: the figures, JSON-able: split, images, and mIoU by stage over all and over the first classes.
    """
    trained = load_model(source)
    check_classes(classes, trained.class_names)
    trained.image_size = image_size or trained.image_size
    save_model(trained, out, half=True)
    model = load_model(out)
    counts = count_pixels(Predictor(model), data)
    every = score(counts).to_json()
    figures: dict[str, Any] = {
        "data": data.labels.name,
        "split": data.split,
        "images": every["images"],
        "image_size": model.image_size,
        "pixel_accuracy": every["pixel_accuracy"],
        "per_class": every["per_class"],
        f"miou_{model.num_classes}": every["stages"],
    }
    if classes is not None:
        figures[f"miou_{classes}"] = score(counts, classes=classes).to_json()["stages"]
    model.recipe = {**model.recipe, "figures": figures}
    save_model(model, out, half=True)
    return figures


def figures_table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table, one row a stage, for the model card."""
    means = {name.replace("miou_", "mIoU-"): stages for name, stages in figures.items() if name.startswith("miou_")}
    lines = [f"| stage | {' | '.join(means)} |", f"|---|{'---|' * len(means)}"]
    for stage in next(iter(means.values())):
        lines.append(f"| {stage} | {' | '.join(f'{100 * stages[stage]:.1f}' for stages in means.values())} |")
    return "\n".join(lines)
