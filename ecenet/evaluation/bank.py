"""Embedding banks: every class embedding of a labelled split, with the quality of its mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.utils import gather_object
from tqdm import tqdm

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS, RGBImage
from ecenet.data.split import LabelledSplit
from ecenet.evaluation.class_map import OUTSIDE_COLOR, ClassMap, make_class_map
from ecenet.evaluation.embedding_quality import StageQuality, embedding_quality
from ecenet.evaluation.embedding_rows import Row, embedding_rows
from ecenet.evaluation.evaluate import check_labels, picked_images
from ecenet.inference.predictor import Predictor

FORMAT = 1
"""Version of the file format; changes with the columns."""


@dataclass(frozen=True, eq=False)  # identity as equality: arrays have no hash, and a bank may be a cache key
class EmbeddingBank:
    """N rows, one per image, stage and class that is predicted or labelled there; K classes, D embedding width.

    The classes are those of the weights. In a bank made with a class map they are those of the data, plus `OUTSIDE` if
    the map has no `rest`; each class of the weights then keeps its own row, so several rows can have the same class.
    """

    image: np.ndarray
    """(N,) indices into `images`."""
    stage: np.ndarray
    """(N,) stage names; without `final`, which has no embeddings of its own."""
    class_index: np.ndarray
    """(N,) class indices."""
    area: np.ndarray
    """(N,) share of the image that the stage assigns to the class."""
    confidence: np.ndarray
    """(N,) mean confidence over those pixels; NaN if there are none."""
    truth: np.ndarray
    """(N, K) number of those pixels by true class: a column of the image's confusion matrix."""
    iou: np.ndarray
    """(N,) intersection over union of the class in this image; NaN if it is neither predicted nor labelled."""
    embedding: np.ndarray
    """(N, D) float32."""
    images: list[str]
    """File names relative to the root of the data set."""
    about: dict[str, Any]
    """`format`, `class_names`, `class_colors`, `weights_hash`, `data`, `split`; and `class_map`, the content of its
    file, if one was used."""

    def __len__(self) -> int:
        return len(self.image)

    @property
    def stages(self) -> list[str]:
        """Stage names, coarse to fine."""
        return list(dict.fromkeys(self.stage.tolist()))


def embed_split(
    predictor: Predictor,
    data: LabelledSplit,
    *,
    limit: int | None = None,
    anonymous: bool = False,
    class_map: ClassMap | None = None,
) -> EmbeddingBank:
    """Predict every image and collect its class embeddings.

    With a distributed launcher the images are split among the processes, and each returns the complete bank.

    Args:
        limit: use only this many images, evenly spaced.
        anonymous: number the images instead of storing file names.
        class_map: maps the classes of the weights to those of the data, if they differ.
    Raises:
        UserError: the classes of data and weights differ, or a file cannot be read.
    """
    if class_map is None:
        check_labels(predictor, data)
    state = this_process()
    rows: list[Row] = []
    picked = picked_images(data, limit=limit)
    mine = range(state.process_index, len(picked), state.num_processes)
    for number in tqdm(mine, desc=f"Embedding {data.split}", unit="image", disable=not state.is_main_process):
        image, target = data.load(int(picked[number]))
        rows += embedding_rows(predictor.predict(image), target, image=number, class_map=class_map)
    rows = sorted(gather_object(rows), key=lambda row: row.image)  # stable: stages and classes keep their order
    names, colors, about = predictor.model.class_names, predictor.model.class_colors, {}
    if class_map is not None:
        names, about = class_map.predicted_names, {"class_map": class_map.content}
        colors = [*data.labels.class_colors, *([OUTSIDE_COLOR] if class_map.has_outside else [])]
    width = predictor.model.embed_dim
    return EmbeddingBank(
        image=np.array([row.image for row in rows], dtype=np.int64),
        stage=np.array([row.stage for row in rows], dtype=np.str_),
        class_index=np.array([row.class_index for row in rows], dtype=np.int64),
        area=np.array([row.area for row in rows], dtype=np.float64),
        confidence=np.array([row.confidence for row in rows], dtype=np.float64),
        truth=np.array([row.truth for row in rows], dtype=np.int64).reshape(len(rows), len(names)),
        iou=np.array([row.iou for row in rows], dtype=np.float64),
        embedding=np.array([row.embedding for row in rows], dtype=np.float32).reshape(len(rows), width),
        images=[
            _anonymous(data, number) if anonymous else _relative(data.images[index], data.root)
            for number, index in enumerate(picked)
        ],
        about={
            "format": FORMAT,
            "class_names": names,
            "class_colors": colors,
            "weights_hash": predictor.weights_hash,
            "data": data.labels.name,
            "split": data.split,
            **about,
        },
    )


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def bank_image(
    bank: EmbeddingBank, data: LabelledSplit, image: int, *, max_pixels: int = MAX_PIXELS
) -> tuple[RGBImage, np.ndarray]:
    """Load an image of the bank and its (H, W) uint8 mask from the data that the bank was made from.

    Args:
        image: index into `bank.images`.
        max_pixels: maximum size of the image.
    Raises:
        UserError: the bank was made from other data, or a file cannot be read.
    """
    picked = picked_images(data, limit=len(bank.images))
    path = data.images[picked[image]] if len(picked) == len(bank.images) else None
    anonymous = bank.images[image] == _anonymous(data, image)
    if path is None or not (anonymous or _relative(path, data.root) == bank.images[image]):
        raise UserError(
            "wrong-data",
            f"Expected the {len(bank.images)} images that the bank was made from, {bank.images[image]} among them, "
            f"got {len(data)} other images in {data.root}; choose the data and layout of the bank.",
        )
    return data.load(int(picked[image]), max_pixels=max_pixels)


def _anonymous(data: LabelledSplit, number: int) -> str:
    return f"{data.labels.name} {number + 1}"


def bank_class_map(bank: EmbeddingBank, *, weights_names: list[str]) -> ClassMap | None:
    """The class map that a bank was made with; None if it has the classes of the weights.

    Raises:
        UserError: the map names classes that neither the weights nor the bank have.
    """
    content = bank.about.get("class_map")
    if content is None:
        return None
    names = bank.about["class_names"]
    data_names = names if content.get("rest") is not None else names[:-1]
    return make_class_map(content, weights_names=weights_names, data_names=data_names, source="the bank's class map")


def bank_quality(bank: EmbeddingBank) -> dict[str, StageQuality]:
    """How well the embeddings of each stage separate the classes, by stage.

    With a class map, rows of `rest` and `OUTSIDE` are excluded: they mix classes that the data does not distinguish."""
    names, content = bank.about["class_names"], bank.about.get("class_map")
    rest = names.index(content["rest"]) if content is not None and content["rest"] is not None else -1
    return embedding_quality(
        stages=bank.stages,
        stage=bank.stage,
        image=bank.image,
        class_index=bank.class_index,
        area=bank.area,
        iou=np.where(bank.class_index == rest, np.nan, bank.iou),
        embedding=bank.embedding,
    )


def bank_summary(bank: EmbeddingBank) -> str:
    """A one-line summary for the command line."""
    return f"{len(bank)} embeddings of {len(bank.images)} images, {len(np.unique(bank.stage))} stages"
