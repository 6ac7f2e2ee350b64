"""Snapshots of a run on a few validation photos: pictures and class embeddings."""

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
"""Number of rows of the picture."""
PHOTOS = 24
"""Number of photos whose embeddings are saved."""
CELL = 320
"""Longest side in pixels of one photo in the picture."""


@dataclass(frozen=True)
class Snapshot:
    """Predictions for the same photos at each validation."""

    picture: Image.Image
    """A row for each photo: photo, ground truth, mask of the first stage, final mask."""
    points: EmbeddingPoints
    separation: dict[str, float]
    """Silhouette of each stage's embeddings by class, −1 … 1; stages with fewer than two classes are omitted."""


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
    """Draw photo, ground truth (ignored pixels are white), mask of the first stage and final mask side by side."""
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
    """Compute the silhouette of each stage's embeddings by class, with cosine distances."""
    separation = {}
    for stage in dict.fromkeys(points.stage.tolist()):
        of_stage = points.stage == stage
        classes = points.class_index[of_stage]
        if 2 <= len(set(classes.tolist())) < len(classes):
            separation[stage] = float(silhouette_score(points.vectors[of_stage], classes, metric="cosine"))
    return separation


def save_snapshot(out: Path, snapshot: Snapshot, *, step: int) -> None:
    """Write `samples/step-000200.jpg` and `embeddings/step-000200.npz` (the arrays of `EmbeddingPoints`).

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
