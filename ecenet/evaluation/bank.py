"""An embedding bank: every class embedding of a labelled split and how its mask fared."""

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
"""Of the file; a change of columns is another one."""


@dataclass(frozen=True, eq=False)  # equal is the same: arrays have no hash, and a bank may be a cache's key
class EmbeddingBank:
    """N rows, one for each image, stage and class that is predicted or true there; K classes, D embedding width.

    The classes are the weights'. In a bank that was made with a class map they are the data's, and `OUTSIDE` where the
    map has no `rest`: each class of the weights then has a row of its own, and several may be of one class here.
    """

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
    """`format`, `class_names`, `class_colors`, `weights_hash`, `data`, `split`; `class_map`, the content of its file,
    where there was one."""

    def __len__(self) -> int:
        return len(self.image)

    @property
    def stages(self) -> list[str]:
        """Coarse to fine."""
        return list(dict.fromkeys(self.stage.tolist()))


def embed_split(
    predictor: Predictor,
    data: LabelledSplit,
    *,
    limit: int | None = None,
    anonymous: bool = False,
    class_map: ClassMap | None = None,
) -> EmbeddingBank:
    """Predict every image and keep its class embeddings. Under a launcher the processes share the images, and each
    returns the whole bank.

    Args:
        limit: look at so many images only, evenly spread.
        anonymous: number the images instead of naming their files.
        class_map: from the weights' classes to the data's, where they differ.
    Raises:
        UserError: the data's classes are not the weights' classes, or a file is bad.
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


def bank_class_map(bank: EmbeddingBank, *, weights_names: list[str]) -> ClassMap | None:
    """The class map that a bank was made with; None where it has the weights' own classes.

    Raises:
        UserError: it names other classes than the weights' and the bank's.
    """
    content = bank.about.get("class_map")
    if content is None:
        return None
    names = bank.about["class_names"]
    data_names = names if content.get("rest") is not None else names[:-1]
    return make_class_map(content, weights_names=weights_names, data_names=data_names, source="the bank's class map")


def bank_quality(bank: EmbeddingBank) -> dict[str, StageQuality]:
    """How well each stage's embeddings keep their class. With a class map, rows of its `rest` and of what is outside of
    it are left out: they are of many classes that the data does not tell apart."""
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
    """One line for the command."""
    return f"{len(bank)} embeddings of {len(bank.images)} images, {len(np.unique(bank.stage))} stages"
