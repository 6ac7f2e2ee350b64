"""Validation of the browser's map events, which can be outdated or forged."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecenet.analysis.embeddings.embedding_map import EmbeddingMap
from ecenet.app.state.selection import Selection, shown_class
from ecenet.app.state.session import Session
from ecenet.common.errors import UserError
from ecenet.inference.prediction import Prediction


def up_to_date(current: EmbeddingMap | None, predictions: Sequence[Prediction]) -> EmbeddingMap:
    """Return the map if it is up to date.

    Raises:
        UserError: the map is missing, or shows other predictions.
    """
    if current is None or not current.shows(predictions):
        raise UserError(
            "outdated-page", "Expected a point of your photos' map, got one of an older map; wait for the new one."
        )
    return current


def picked_point(payload: object, current: EmbeddingMap) -> int:
    """Return the row of the clicked point, from `{"map": key, "index": row}`.

    Raises:
        UserError: it is not a point of the map.
    """
    return int(_rows([_of_this_map(payload, current).get("index")], current)[0])


def picked_points(payload: object, current: EmbeddingMap) -> np.ndarray:
    """Return the (M,) rows of the points inside a lasso, ascending, from `{"map": key, "points": rows}`.

    Raises:
        UserError: the rows are not points of the map, or contain duplicates.
    """
    points = _of_this_map(payload, current).get("points")
    if not isinstance(points, list) or len(points) > len(current.points):
        raise UserError(
            "invalid-value",
            f"Expected a list of at most {len(current.points)} points, got {str(points)[:40]!r}; draw the lasso again.",
        )
    return _rows(points, current)


def _of_this_map(payload: object, current: EmbeddingMap) -> dict[str, object]:
    if not isinstance(payload, dict) or payload.get("map") not in (current.key, *current.earlier_keys):
        raise UserError(
            "outdated-page",
            "Expected points of the current map, got points of another one; try again.",
        )
    return payload


def _rows(points: list[object], current: EmbeddingMap) -> np.ndarray:
    count = len(current.points)
    rows = [row for row in points if type(row) is int and 0 <= row < count]
    if len(rows) != len(points) or len(set(rows)) != len(rows):
        wrong = next((row for row in points if not (type(row) is int and 0 <= row < count)), "a duplicate")
        raise UserError(
            "unknown-choice",
            f"Expected points 0 … {count - 1} of the map, got {str(wrong)[:40]!r}; pick points of the map.",
        )
    return np.array(sorted(rows), dtype=int)


def select_point(selection: Selection, current: EmbeddingMap, row: int) -> Selection:
    """Return the selection moved to a point's photo, stage and class. For a reference point, whose photo is not in the
    session, only stage and class change, and the point is selected on the map."""
    image, points = int(current.points.image[row]), current.points
    reference = image - len(current.predictions) if current.is_reference[row] else None
    if image != selection.photo and reference is None:
        selection = selection.with_photo(image, current.predictions[image])
    class_name = current.predictions[0].class_names[int(points.class_index[row])]
    return replace(selection, stage=str(points.stage[row]), class_name=class_name, reference=reference)


def point_of(current: EmbeddingMap, session: Session, selection: Selection) -> int | None:
    """Return the row of the selected class at the selected stage, of the selected reference image or else the photo;
    None if the class is too small to have a point."""
    photo = session.photo(selection)
    if photo is None:
        return None
    images = [min(selection.photo, len(session.photos) - 1)]
    if selection.reference is not None:
        images.insert(0, len(current.predictions) + selection.reference)
    class_index = photo.prediction.class_names.index(shown_class(photo.prediction, selection.class_name))
    stage = session.embedding_stage(selection)
    rows = (current.points.find(image=image, stage=stage, class_index=class_index) for image in images)
    return next((row for row in rows if row is not None), None)
