"""Knock-outs: mIoU of trained weights on a split with one part of the head switched off at a time.

Unlike in ablations, the weights were trained with the part. Not from the paper.
"""

from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, head_edits
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.evaluate import check_labels, picked_images
from ecenet.evaluation.metrics import confusion_matrix, mean_iou
from ecenet.inference.predictor import Predictor
from ecenet.model.network import Network

WHOLE = "nothing off"


@dataclass(frozen=True)
class KnockOutScore:
    """Scores of the final masks of a split with one part off. Shares, 0 … 1."""

    off: str
    miou: float
    change: float
    """Change of the mIoU relative to the complete head."""
    changed_pixels: float
    """Share of pixels whose class differs from that of the complete head."""


def knock_outs_of(model: Network) -> dict[str, KnockOuts]:
    """The parts of a model's head that can be switched off, by name; the complete head first."""
    stages = [name for name in model.stage_names if name not in ("ece", "final")]
    found = {WHOLE: KnockOuts()}
    if model.parts.reconstruction:
        found["diverse branch"] = KnockOuts(diverse=False)
    found |= {f"attention at {name}": KnockOuts(attention_off=(name,)) for name in stages}
    found["attention at every stage"] = KnockOuts(attention_off=tuple(stages))
    if model.updater != "off":
        found |= {f"updater at {name}": KnockOuts(updater_off=(name,)) for name in stages}
        found["updater at every stage"] = KnockOuts(updater_off=tuple(stages))
    if model.parts.gated:
        found |= {f"gate at {gate:g}": KnockOuts(gate=gate) for gate in (0.0, 0.5, 1.0)}
    return found


def score_knock_outs(predictor: Predictor, data: LabelledSplit, *, limit: int | None = None) -> list[KnockOutScore]:
    """Run the backbone once per image, and the head once per part switched off.

    Args:
        limit: use only this many images, evenly spaced.
    Raises:
        UserError: the classes of data and weights differ, or a file cannot be read.
    """
    check_labels(predictor, data)
    parts = knock_outs_of(predictor.model)
    classes = len(predictor.model.class_names)
    confusions = {name: np.zeros((classes, classes), dtype=np.int64) for name in parts}
    changed, pixels = dict.fromkeys(parts, 0), 0
    for index in tqdm(picked_images(data, limit=limit), desc="Knocking parts out", unit="image"):
        image, target = data.load(int(index))
        features = predictor.extract_features(image)
        whole = predictor.predict_features(features, stages=("final",))
        pixels += whole.label_map.size
        for name, off in parts.items():
            after = whole
            if name != WHOLE:
                edits = head_edits(Scenario(knock_outs=off), whole, stages=predictor.model.stage_names)
                after = predictor.predict_features(features, edits, stages=("final",))
            confusions[name] += confusion_matrix(target, after.label_map, num_classes=classes)
            changed[name] += int((after.label_map != whole.label_map).sum())
    mious = {name: mean_iou(confusion) for name, confusion in confusions.items()}
    return [
        KnockOutScore(name, miou, miou - mious[WHOLE], changed[name] / max(1, pixels)) for name, miou in mious.items()
    ]


def knock_out_table(scores: list[KnockOutScore]) -> str:
    """Markdown table, one row per part."""
    lines = ["| off | mIoU | change | pixels changed |", "|---|---|---|---|"]
    lines += [
        f"| {one.off} | {100 * one.miou:.1f} | {100 * one.change:+.1f} | {one.changed_pixels:.1%} |" for one in scores
    ]
    return "\n".join(lines)


def knock_outs_json(scores: list[KnockOutScore]) -> list[dict[str, object]]:
    return [asdict(one) for one in scores]
