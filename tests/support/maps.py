"""Sessions and maps of embeddings made by hand, and the map's tab drawn without a server."""

from pathlib import Path
from typing import Any

import numpy as np

from ecenet.analysis.embeddings.embedding_map import EmbeddingMap, MapRequest, draw_map
from ecenet.analysis.embeddings.projection import ProjectionOptions
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.embeddings import render as embeddings
from ecenet.inference.predictor import Predictor
from tests.support.fitters import ScriptedFitter
from tests.support.predictions import STAGES, make_prediction

LABELS = np.array([[0, 1], [2, 2]], dtype=np.uint8)
MADE_STAGES = [name for name in STAGES if name != "final"]
OPTIONS = ("UMAP", 2, 0, 15, 0.2, 30)


def session_of(*names: str, copies: bool = False) -> Session:
    """Of photos that look alike to the last pixel, and whose embeddings are equal if they are copies."""
    photos = tuple(Photo(name, make_prediction(LABELS, photo=0 if copies else i)) for i, name in enumerate(names))
    return Session(photos=photos, stage_names=tuple(STAGES))


def map_of(session: Session, *, dimensions: int = 2) -> EmbeddingMap:
    request = MapRequest(ProjectionOptions(dimensions=dimensions))
    return draw_map(embeddings.predictions_of(session), request, previous=None, fitter=ScriptedFitter())


def render(session: Session, current: EmbeddingMap | None = None, drawn: Any = None, **changes: Any) -> list[Any]:
    """Of a registry whose model has no reference bank, unless one is given."""
    defaults: dict[str, Any] = {
        "by_stage": False,
        "color_by": "class",
        "lines": True,
        "density": False,
        "with_reference": True,
        "min_area": 0.5,
        "refits": 0,
    }
    values = defaults | {"options": OPTIONS} | changes
    fitter = values.pop("fitter", ScriptedFitter())
    registry = values.pop("registry", FolderOnly(None))
    *fixed, options = values.values()
    return embeddings.render(
        session, current, drawn or embeddings.Drawn(), *fixed, *options, fitter=fitter, registry=registry
    )


class FolderOnly:
    """As much of a registry as the map needs."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def folder(self, key: object) -> Path | None:
        return self._folder

    def open(self, key: object) -> Predictor:
        assert self._folder is not None
        return Predictor.from_weights(self._folder)
