"""Export of predictions to files."""

import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TypedDict

import numpy as np
from pycocotools import mask as coco_mask

from ecenet.inference.least_confidence import above_confidence
from ecenet.inference.overlay import indexed_mask, overlay
from ecenet.inference.prediction import Prediction, StagePrediction

ClassArea = TypedDict("ClassArea", {"class": str, "area": float, "confidence": float})
"""A class with its area as a share of the photo, and its mean confidence."""


MAX_NAME = 200
"""Maximum bytes of a folder name, to which a number may be appended; file systems allow 255."""


class Summary(TypedDict):
    """A summary of a prediction. Sizes are in pixels; classes with pixels are listed by area, largest first."""

    width: int
    height: int
    note: str
    seconds: float
    classes: list[ClassArea]
    agreement_with_final: dict[str, float]
    """Share of pixels with the same class as in the final mask, 0 … 1, by stage."""
    sure_area: float
    """Share of pixels with at least the minimum confidence, 0 … 1; others have no class."""


def export_prediction(
    prediction: Prediction, folder: Path, *, opacity: float = 0.6, min_confidence: float = 0.0
) -> dict[str, object]:
    """Write the masks, overlays and arrays of a prediction.

    Writes `label_map.png` (palette image of class indices), `overlay.png`, `stages/NAME.png` (palette images, coarse
    to fine), `overlays/NAME.jpg`, `coco/NAME.json` (a list of COCO annotations) and `arrays.npz` (`stage_arrays`).

    Args:
        min_confidence: pixels below it have no class, 255 in the masks.
    Returns: a summary as JSON values: sizes, classes with area and mean confidence, and the agreement of each stage
        with the final mask.
    """
    sure = above_confidence(prediction, min_confidence)
    summary, prediction = prediction_summary(prediction, shown=sure.final), sure
    for name in ("stages", "overlays", "coco"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    colors = prediction.class_colors
    indexed_mask(prediction.label_map, colors).save(folder / "label_map.png")
    overlay(prediction.image, prediction.label_map, colors, opacity=opacity).save(folder / "overlay.png")
    for name, stage in prediction.stages.items():
        indexed_mask(stage.label_map, colors).save(folder / "stages" / f"{name}.png")
        picture = overlay(prediction.image, stage.label_map, colors, opacity=opacity)
        picture.save(folder / "overlays" / f"{name}.jpg", quality=90)
        (folder / "coco" / f"{name}.json").write_text(json.dumps(coco_annotations(prediction, stage)))
    np.savez_compressed(folder / "arrays.npz", **stage_arrays(prediction))  # type: ignore[arg-type]
    return {"folder": folder.name, **summary}


def prediction_summary(prediction: Prediction, *, shown: StagePrediction) -> Summary:
    """Return the sizes, the classes of a stage, and the agreement of each stage with the final one, as JSON values.

    Args:
        shown: the stage, possibly without unconfident pixels.
    """
    return {
        "width": prediction.image.width,
        "height": prediction.image.height,
        "note": prediction.note,
        "seconds": round(prediction.seconds, 4),
        "classes": [
            {
                "class": prediction.class_names[k],
                "area": float(shown.area[k]),
                "confidence": float(shown.mean_confidence[k]),
            }
            for k in shown.present()
        ],
        "agreement_with_final": {name: prediction.agreement(name) for name in prediction.stages},
        "sure_area": float(shown.area.sum()),
    }


def coco_annotations(prediction: Prediction, stage: StagePrediction) -> list[dict[str, object]]:
    """Return an annotation for each class in COCO's stuff format, with its mask at the image's size as compressed RLE.

    `category_id` is the class index plus one, as in COCO; `score` is the mean confidence.
    """
    annotations: list[dict[str, object]] = []
    for k in stage.present():
        mask = np.asfortranarray(stage.label_map == k, dtype=np.uint8)
        encoded = coco_mask.encode(mask)
        annotations.append(
            {
                "id": len(annotations) + 1,
                "category_id": k + 1,
                "category": prediction.class_names[k],
                "segmentation": {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")},
                "area": int(mask.sum()),
                "bbox": [float(value) for value in coco_mask.toBbox(encoded)],
                "iscrowd": 0,
                "score": float(stage.mean_confidence[k]),
            }
        )
    return annotations


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return unique folder names for files: their stems, numbered if two are equal, also on file systems that ignore
    case or the encoding of accents."""
    stems = [_folder_name(path) for path in paths]
    totals = Counter(map(_as_disks_compare, stems))
    names: list[str] = []
    taken = set(totals)
    for stem in stems:
        if totals[_as_disks_compare(stem)] > 1:
            stem = next(name for n in count(1) if _as_disks_compare(name := f"{stem}-{n}") not in taken)
        taken.add(_as_disks_compare(stem))
        names.append(stem)
    return names


def _as_disks_compare(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _folder_name(path: Path) -> str:
    """Return the stem of a file as a valid folder name; the stem of `...jpg`, for example, is the special name `..`."""
    stem = path.stem.replace("\0", "_").encode(errors="replace")[:MAX_NAME].decode(errors="ignore")
    return stem if stem.strip(".") else "photo"


def stage_arrays(prediction: Prediction) -> dict[str, np.ndarray]:
    """Return the arrays of a prediction: `similarity_STAGE` and `mask_logits_STAGE` (K, h, w), `embeddings_STAGE` (K,
    D), `gate_STAGE` (K, D) for stages with a gate, and `classes`, K names."""
    arrays: dict[str, np.ndarray] = {"classes": np.array(prediction.class_names)}
    for name, stage in prediction.stages.items():
        arrays[f"similarity_{name}"] = stage.similarity
        arrays[f"mask_logits_{name}"] = stage.mask_logits
        arrays[f"embeddings_{name}"] = stage.embeddings
        if stage.gate is not None:
            arrays[f"gate_{name}"] = stage.gate
    return arrays
