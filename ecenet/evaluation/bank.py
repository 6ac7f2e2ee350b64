"""An embedding bank: every class embedding of a labelled split and how its mask fared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from accelerate.utils import gather_object
from tqdm import tqdm

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS, RGBImage
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.evaluate import check_labels, picked_images
from ecenet.evaluation.metrics import confusion_matrix
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor

FORMAT = 1
"""Of the file; a change of columns is another one."""


class Row(NamedTuple):
    """One class of one image at one stage."""

    image: int
    stage: str
    class_index: int
    area: float
    confidence: float
    truth: np.ndarray
    """(K,) int64."""
    iou: float
    embedding: np.ndarray
    """(D,) float32."""


@dataclass(frozen=True, eq=False)  # equal is the same: arrays have no hash, and a bank may be a cache's key
class EmbeddingBank:
    """N rows, one for each image, stage and class that is predicted or true there; K classes, D embedding width."""

    image: np.ndarray
    """(N,) index into `images`."""
    stage: np.ndarray
    """(N,) stage names; `final` has no embeddings of its own and is left out."""
    class_index: np.ndarray
    """(N,)."""
    area: np.ndarray
    """(N,) share of the image that the stage gives to the class."""
    confidence: np.ndarray
    """(N,) mean confidence over those pixels; NaN without any."""
    truth: np.ndarray
    """(N, K) labelled pixels of each true class among those pixels: a row of this image's confusion, transposed."""
    iou: np.ndarray
    """(N,) intersection over union of the class in this image; NaN where it is neither predicted nor labelled."""
    embedding: np.ndarray
    """(N, D) float32."""
    images: list[str]
    """File names, relative to the data set."""
    about: dict[str, Any]
    """`format`, `class_names`, `class_colors`, `weights_hash`, `data`, `split`."""

    def __len__(self) -> int:
        return len(self.image)

    @property
    def stages(self) -> list[str]:
        """Coarse to fine."""
        return list(dict.fromkeys(self.stage.tolist()))


def embed_split(
    predictor: Predictor, data: LabelledSplit, *, limit: int | None = None, anonymous: bool = False
) -> EmbeddingBank:
    """Predict every image and keep its class embeddings. Under a launcher the processes share the images, and each
    returns the whole bank.

    Args:
        limit: look at so many images only, evenly spread.
        anonymous: number the images instead of naming their files.
    Raises:
        UserError: the data's classes are not the weights' classes, or a file is bad.
    """
    check_labels(predictor, data)
    state = this_process()
    rows: list[Row] = []
    picked = picked_images(data, limit=limit)
    mine = range(state.process_index, len(picked), state.num_processes)
    for number in tqdm(mine, desc=f"Embedding {data.split}", unit="image", disable=not state.is_main_process):
        image, target = data.load(int(picked[number]))
        rows += embedding_rows(predictor.predict(image), target, image=number)
    rows = sorted(gather_object(rows), key=lambda row: row.image)  # stable: stages and classes keep their order
    width, classes = predictor.model.embed_dim, len(predictor.model.class_names)
    return EmbeddingBank(
        image=np.array([row.image for row in rows], dtype=np.int64),
        stage=np.array([row.stage for row in rows], dtype=np.str_),
        class_index=np.array([row.class_index for row in rows], dtype=np.int64),
        area=np.array([row.area for row in rows], dtype=np.float64),
        confidence=np.array([row.confidence for row in rows], dtype=np.float64),
        truth=np.array([row.truth for row in rows], dtype=np.int64).reshape(len(rows), classes),
        iou=np.array([row.iou for row in rows], dtype=np.float64),
        embedding=np.array([row.embedding for row in rows], dtype=np.float32).reshape(len(rows), width),
        images=[
            _anonymous(data, number) if anonymous else _relative(data.images[index], data.root)
            for number, index in enumerate(picked)
        ],
        about={
            "format": FORMAT,
            "class_names": predictor.model.class_names,
            "class_colors": predictor.model.class_colors,
            "weights_hash": predictor.weights_hash,
            "data": data.labels.name,
            "split": data.split,
        },
    )


def embedding_rows(prediction: Prediction, target: np.ndarray, *, image: int) -> list[Row]:
    """Rows of one image; `target` is (H, W) uint8 class indices, 255 = ignore."""
    rows = []
    classes = len(prediction.class_names)
    for name, stage in prediction.stages.items():
        if name == "final":
            continue
        confusion = confusion_matrix(target, stage.label_map, num_classes=classes)  # rows are truth
        hit, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        for k in np.flatnonzero((stage.area > 0) | (true > 0)):
            union = true[k] + predicted[k] - hit[k]
            iou = float(hit[k] / union) if union else float("nan")
            values = (float(stage.area[k]), float(stage.mean_confidence[k]), confusion[:, k], iou)
            rows.append(Row(image, name, int(k), *values, stage.embeddings[k].astype(np.float32)))
    return rows


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def bank_image(
    bank: EmbeddingBank, data: LabelledSplit, image: int, *, max_pixels: int = MAX_PIXELS
) -> tuple[RGBImage, np.ndarray]:
    """An image of the bank out of the data that it was made from, and its (H, W) uint8 mask.

    Args:
        image: index into `bank.images`.
        max_pixels: largest image to accept.
    Raises:
        UserError: the data is not the bank's, or a file is bad.
    """
    picked = picked_images(data, limit=len(bank.images))
    path = data.images[picked[image]] if len(picked) == len(bank.images) else None
    anonymous = bank.images[image] == _anonymous(data, image)
    if path is None or not (anonymous or _relative(path, data.root) == bank.images[image]):
        raise UserError(
            "wrong-data",
            f"Expected the {len(bank.images)} images that the bank was made from, {bank.images[image]} among them, "
            f"got {len(data)} others in {data.root}; choose the bank's own data and layout.",
        )
    return data.load(int(picked[image]), max_pixels=max_pixels)


def _anonymous(data: LabelledSplit, number: int) -> str:
    return f"{data.labels.name} {number + 1}"


def bank_summary(bank: EmbeddingBank) -> str:
    """One line for the command."""
    return f"{len(bank)} embeddings of {len(bank.images)} images, {len(np.unique(bank.stage))} stages"
