"""The HTML around the map: neighbours of a point, quality of the projection, points inside a lasso."""

import base64
import csv
import io
from collections.abc import Sequence

import numpy as np

from ecenet.analysis.embeddings.cosine import Quality, neighbors_of
from ecenet.analysis.embeddings.embedding_map import EmbeddingMap
from ecenet.app.widgets.markup import color_swatch, empty_state, escape, on_click
from ecenet.app.widgets.pictures import marked_photo
from ecenet.inference.prediction import stage_title

NEIGHBORS = 8
MAX_ROWS = 200
"""Maximum number of rows in the table; the file contains all."""
MAX_PICTURES, PICTURE_SIDE = 24, 160
"""Maximum number of pictures in the gallery, and their longest side in pixels."""
CLICK_ROW = on_click(
    "[data-point]",
    "point",
    "{map: picked.closest('[data-map]').dataset.map, index: Number(picked.dataset.point)}",
)


def no_point() -> str:
    """Return the text shown instead of neighbours if the selected class has no point."""
    return empty_state("The selected class is too small for the map: lower the minimum area, or click a point.")


def neighbors(current: EmbeddingMap, index: int, *, image_names: Sequence[str]) -> str:
    """Return a point and its nearest neighbours by cosine distance in the original space, as buttons."""
    nearest, distances = neighbors_of(index, current.unit, count=NEIGHBORS)
    rows = "".join(
        f'<li><button type="button" data-point="{row}">{_point(current, int(row), image_names=image_names)}'
        f"<b>{distance:.3f}</b></button></li>"
        for row, distance in zip(nearest, distances, strict=True)
    )
    return f"""
<div class="ece-neighbors" data-map="{current.key}">
  <p class="ece-note">Nearest to</p>
  <p class="ece-point">{_point(current, index, image_names=image_names)}</p>
  <p class="ece-note">by cosine distance of the embeddings (not by distance on the map):</p>
  <ol>{rows}</ol>
</div>"""


def _point(current: EmbeddingMap, row: int, *, image_names: Sequence[str]) -> str:
    points = current.points
    first = current.predictions[0]
    k = int(points.class_index[row])
    return (
        f"<span>{color_swatch(first.class_colors[k])}{escape(first.class_names[k])}"
        f"<small>{stage_title(str(points.stage[row]))}, {escape(image_names[int(points.image[row])])}</small></span>"
    )


def quality(measured: Quality) -> str:
    """Return the two quality measures with an explanation."""
    if measured.trustworthiness is None and measured.silhouette is None:
        return ""
    trust = "–" if measured.trustworthiness is None else f"{measured.trustworthiness:.2f}"
    silhouette = "–" if measured.silhouette is None else f"{measured.silhouette:.2f}"
    return f"""
<p class="ece-quality"><span>Trustworthiness <b>{trust}</b></span> <span>Silhouette by class <b>{silhouette}</b></span>
<small>Trustworthiness near 1: neighbours on the map are neighbours in the original space; below 0.9, use the list of
nearest points instead. Silhouette near 1: classes are separate in the original space; near 0: they overlap.
Measured on {measured.judged} points.</small></p>"""


HEADER = ("photo", "stage", "class", "area", "confidence")


def picked_points(current: EmbeddingMap, rows: np.ndarray, *, image_names: Sequence[str]) -> str:
    """Return the (M,) points as pictures, table and CSV file; empty without points."""
    if not len(rows):
        return ""
    points, class_names = current.points, current.predictions[0].class_names
    records = [
        (
            image_names[int(points.image[row])],
            str(points.stage[row]),
            class_names[int(points.class_index[row])],
            float(points.area[row]),
            float(points.confidence[row]),
        )
        for row in rows
    ]
    body = "".join(
        f"<tr><td>{escape(photo)}</td><td>{stage_title(stage)}</td><td>{escape(name)}</td>"
        f"<td>{area:.1%}</td><td>{'–' if np.isnan(confidence) else f'{confidence:.0%}'}</td></tr>"
        for photo, stage, name, area, confidence in records[:MAX_ROWS]
    )
    shown = f"{len(rows)} points" + (f", the first {MAX_ROWS} of them shown" if len(rows) > MAX_ROWS else "")
    head = "".join(f"<th>{name.capitalize()}</th>" for name in HEADER)
    return f"""
<div class="ece-picked" data-map="{current.key}">
  <p>{shown} <a download="points.csv" href="{_csv_uri(records)}">Download CSV</a></p>
  {_gallery(current, rows, image_names=image_names)}
  <div><table class="ece-legend"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
</div>"""


def _gallery(current: EmbeddingMap, rows: np.ndarray, *, image_names: Sequence[str]) -> str:
    """Return the regions of the points as buttons; reference photos have no pictures."""
    own = [int(row) for row in rows if not current.is_reference[row]]
    cards = ""
    for row in own[:MAX_PICTURES]:
        prediction = current.predictions[int(current.points.image[row])]
        stage = prediction.stages[str(current.points.stage[row])]
        region = stage.label_map == current.points.class_index[row]
        picture = marked_photo(prediction.image, region, max_side=PICTURE_SIDE)
        cards += f"""
<button type="button" class="ece-card" data-point="{row}">
  <img src="{picture}" alt="">{_point(current, row, image_names=image_names)}
</button>"""
    more = len(own) - MAX_PICTURES
    note = f'<p class="ece-note">… and {more} more points of your photos</p>' if more > 0 else ""
    return f'<div class="ece-gallery">{cards}</div>{note}' if cards else ""


def _csv_uri(records: Sequence[tuple[str, str, str, float, float]]) -> str:
    """Return the CSV file as a data URI, so that the server does not store it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for photo, stage, name, area, confidence in records:
        # Prevent names (given by visitors) that spreadsheets would evaluate as formulas.
        photo = f"'{photo}" if photo.startswith(("=", "+", "-", "@")) else photo
        writer.writerow([photo, stage, name, f"{area:.6f}", "" if np.isnan(confidence) else f"{confidence:.6f}"])
    return f"data:text/csv;base64,{base64.b64encode(text.getvalue().encode()).decode()}"
