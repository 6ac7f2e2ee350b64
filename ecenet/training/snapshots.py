"""What a run sees of a few validation photos as it learns: pictures and class embeddings, for replay."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import silhouette_score

from ecenet.analysis.embeddings.points import EmbeddingPoints, embedding_points
from ecenet.common.errors import disk_errors
from ecenet.data.images import thumbnail
from ecenet.data.split import LabelledSplit, evenly_spread
from ecenet.inference.overlay import indexed_mask, overlay
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor

PICTURES = 4
"""Rows of the picture."""
PHOTOS = 24
"""Photos whose embeddings are kept."""
CELL = 320
"""Longest side in pixels of one photo in the picture."""


@dataclass(frozen=True)
class Snapshot:
    """Made from the same photos each time."""

    picture: Image.Image
    """A row a photo: photo, truth, the first stage's mask, the final one."""
    points: EmbeddingPoints
    separation: dict[str, float]
    """Silhouette of each stage's embeddings by class, −1 … 1; a stage with fewer than two classes is left out."""


def take_snapshot(predictor: Predictor, data: LabelledSplit) -> Snapshot:
    """Predict `PHOTOS` photos, evenly spread over the split."""
    picked = evenly_spread(len(data), limit=PHOTOS)
    predictions = [predictor.predict(data.images[index]) for index in picked]
    shown = evenly_spread(len(picked), limit=PICTURES)
    rows = [_row(predictions[i], data.load_mask(int(picked[i]))) for i in shown]
    width, height = max(row.width for row in rows), sum(row.height for row in rows)
    picture = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    points = embedding_points(predictions)
    return Snapshot(picture, points, class_separation(points))


def _row(prediction: Prediction, truth: np.ndarray) -> Image.Image:
    """Photo, truth (ignored pixels white), the first stage's and the final mask, side by side."""
    colors = prediction.class_colors
    truth_colors = colors + [[255, 255, 255]] * (256 - len(colors))
    first = next(iter(prediction.stages.values()))
    stages = [overlay(prediction.image, stage.label_map, colors) for stage in (first, prediction.final)]
    cells = [prediction.image, indexed_mask(truth, truth_colors).convert("RGB"), *stages]
    cells = [thumbnail(cell, max_side=CELL) for cell in cells]
    row = Image.new("RGB", (len(cells) * CELL, cells[0].height + 4), "white")
    for column, cell in enumerate(cells):
        row.paste(cell, (column * CELL, 0))
    return row


def class_separation(points: EmbeddingPoints) -> dict[str, float]:
    """Silhouette by cosine distance: do a class's embeddings of different photos lie together, apart from others'?"""
    separation = {}
    for stage in dict.fromkeys(points.stage.tolist()):
        of_stage = points.stage == stage
        classes = points.class_index[of_stage]
        if 2 <= len(set(classes.tolist())) < len(classes):
            separation[stage] = float(silhouette_score(points.vectors[of_stage], classes, metric="cosine"))
    return separation


def save_snapshot(out: Path, snapshot: Snapshot, *, step: int) -> None:
    """`samples/step-000200.jpg` and `embeddings/step-000200.npz` (the arrays of `EmbeddingPoints`).

    Raises:
        UserError: the disk is full.
    """
    with disk_errors(out):
        _write(out, snapshot, name=f"step-{step:06}")


def _write(out: Path, snapshot: Snapshot, *, name: str) -> None:
    for folder in ("samples", "embeddings"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    snapshot.picture.save(out / "samples" / f"{name}.jpg", quality=88)
    points = snapshot.points
    np.savez_compressed(
        out / "embeddings" / f"{name}.npz",
        vectors=points.vectors.astype(np.float16),
        image=points.image,
        stage=points.stage,
        class_index=points.class_index,
        area=points.area,
        confidence=points.confidence,
    )
