"""The model card of trained weights: classes, scores, data, licence and use."""

from collections.abc import Mapping
from typing import Any

from ecenet.model.network import Network


def model_card(model: Network, figures: Mapping[str, Any], *, title: str, licence: str | None) -> str:
    """Return a model card in Markdown, with the header for the Hugging Face Hub.

    Args:
        figures: the figures measured by `ship`.
        title: name of the weights.
        licence: Hugging Face identifier of the weights' licence, or None if unknown.
    """
    recipe, settings = model.recipe, model.settings
    options = recipe.get("train", {})
    header = [f"license: {licence}"] if licence else []
    header += ["library_name: ecenet", "pipeline_tag: image-segmentation", "tags:", "  - semantic-segmentation"]
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    trained = str(recipe.get("data", "unknown data"))
    schedule = f" for {options['steps']} steps of {options['batch_size']} images" if "steps" in options else ""
    start = f", starting from `{options['start_from']}`" if options.get("start_from") else ""
    licensed = f"The weights: {licence}." if licence else "No licence is specified for these weights."
    return f"""---
{chr(10).join(header)}
---

# {title}: semantic segmentation into {model.num_classes} classes

{type(model).__name__} with explicit class embeddings on {settings.backbone}, D = {settings.embed_dim}:
{parameters:.1f} M parameters, fp16. Made by `python -m ecenet train` and `ship`.

## Classes

{_listed(model.class_names)}. There is no class for anything else; every pixel gets one of these classes.

## Scores

mIoU in percent on the {figures["images"]} photos of the split `{figures["split"]}` of {figures["data"]}, measured with
these weights at a longest side of {figures["image_size"]} pixels. Pixel accuracy of the final mask:
{100 * figures["pixel_accuracy"]:.1f}.

{figures_table(figures)}

IoU of the final mask: {_per_class(figures["per_class"])}.

If the best of several validations on this split was selected, the figures are slightly optimistic. Results on photos of
other kinds than those of {figures["data"]} can be far worse.

## Data

Trained on the training photos of {trained}{schedule}{start}. `config.json` has all settings.

## Licence

{licensed} The data and the weights that the training started from have terms of their own, which may apply to these
weights as well.

## Use

```bash
python -m ecenet predict PHOTO.jpg --weights FOLDER
python app.py --weights FOLDER
```
"""


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _per_class(scores: Mapping[str, float | None]) -> str:
    """List the IoU of each class; classes that the split does not contain have none."""
    return ", ".join(f"{name} {'–' if iou is None else f'{100 * iou:.1f}'}" for name, iou in scores.items())


def figures_table(figures: Mapping[str, Any]) -> str:
    """Return the figures as a Markdown table with a row for each stage."""
    means = {name.replace("miou_", "mIoU-"): stages for name, stages in figures.items() if name.startswith("miou_")}
    lines = [f"| stage | {' | '.join(means)} |", f"|---|{'---|' * len(means)}"]
    for stage in next(iter(means.values())):
        lines.append(f"| {stage} | {' | '.join(f'{100 * stages[stage]:.1f}' for stages in means.values())} |")
    return "\n".join(lines)
