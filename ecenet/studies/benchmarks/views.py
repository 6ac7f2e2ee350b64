"""Benchmarks of the app: response time of the server, and memory of a session."""

import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import skimage.data
import torch
from PIL import Image

from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.embeddings.projection import ProjectionOptions, place, project
from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.analysis.interventions.scenario import KnockOuts, Scenario
from ecenet.analysis.interventions.strokes import Stroke
from ecenet.app.state.experiment import Experiment, add_painted_class
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_reference
from ecenet.app.state.selection import MIN_AREA, Selection
from ecenet.app.state.session import Photo, Session, new_session
from ecenet.app.tabs import compare, match, pixel, segment, similarity
from ecenet.app.tabs.embeddings import panels as map_panels
from ecenet.app.tabs.embeddings import render as embeddings
from ecenet.app.tabs.evaluate import tab as dataset
from ecenet.app.tabs.what_if.render import render_result
from ecenet.app.widgets.pixel_planes import stage_pictures
from ecenet.common.threads import give_numpy_one_thread
from ecenet.inference.predictor import Predictor
from ecenet.studies.benchmarks.single import interleaved

PHOTO_SIZE = (480, 360)
MANY_POINTS = 5000
WORKER_SECONDS = 120
FULL_PREDICTION = "for comparison: a photo predicted in full"


def benchmark_views(*, weights: str, rounds: int) -> dict[str, Any]:
    """Time the views that the server renders after a click and UMAP, and measure the memory of a full session.

    Returns: a dictionary for JSON: medians of each view in milliseconds, UMAP in seconds, a full session in megabytes.
    """
    give_numpy_one_thread()  # as in the app
    umap = UmapWorker()
    registry = ModelRegistry(weights)
    session = _full_session(registry)
    selection = Selection(photo=3, stage="stage2", pixel=(100, 100))
    fitted = _wait_for_umap(umap)

    reference = find_reference(registry, session.model, min_area=MIN_AREA)
    shown = embeddings.predictions_of(session)
    points = reference.points if reference else None
    current = draw_map(shown[:-1], MapRequest(), previous=None, fitter=umap, reference=points)
    names = embeddings.image_names(session, reference)
    start = time.perf_counter()
    grown = draw_map(shown, MapRequest(), previous=current, fitter=umap, reference=points)
    one_more = time.perf_counter() - start

    predictor = registry.open(session.model)
    forced = Experiment(session.model, scenario=Scenario(knock_outs=KnockOuts(gate=0.5)))
    painted = _painted(session, selection, predictor=predictor)
    lasso = np.arange(max(0, len(grown.points) - 200), len(grown.points))
    other = compare.Other("", ("one", "other"), shown[3], shown[3])
    found = partial(_found, session, selection, predictor=predictor)
    views: dict[str, Callable[[], object]] = {
        "a new photo's pictures of every stage": lambda: stage_pictures(shown[3]),
        "another photo: masks of every stage": lambda: segment.render(session, selection, 0.6),
        "another photo: stages that decided": lambda: pixel.render_decided(session, selection),
        "another photo: flow of classes": lambda: pixel.render_flow(session, selection, False),
        "similarity: one class, every stage": lambda: similarity.render(session, selection, "stages"),
        "similarity: every class, one stage": lambda: similarity.render(session, selection, "classes"),
        "photos side by side": lambda: compare.render_photos(session, selection),
        "two models, once both have seen it": lambda: compare.render_pair(session, selection, other),
        "confusion matrix of a bank": lambda: dataset.render(session, selection, None, registry=registry),
        "200 points in a lasso": lambda: map_panels.picked_points(grown, lasso, image_names=names),
        "a pixel": lambda: pixel.render_pixel(session, selection),
        "a pixel in all photos, backbone": lambda: found("pixel", "backbone"),
        "a pixel in all photos, stage1": lambda: found("pixel", "stage1"),
        "a class embedding in all photos": lambda: found("class", "final"),
        "a point of the map": lambda: embeddings.render_selected(session, selection, grown, names),
        "what if: a forced gate, drawn": lambda: render_result(forced, session, selection, predictor=predictor),
        "what if: a painted class, drawn": lambda: render_result(painted, session, selection, predictor=predictor),
        FULL_PREDICTION: lambda: predictor.predict(shown[3].image),
        "a stage of the heat map": lambda: embeddings.render_heatmap(grown, (grown.key, "stage2")),
    }
    milliseconds = interleaved(views, rounds=rounds)
    umap.close()
    slowest = max(value for name, value in milliseconds.items() if name.startswith("what if"))
    return {
        "milliseconds": milliseconds,
        "what if, slowest / full prediction": round(slowest / milliseconds[FULL_PREDICTION], 2),
        f"UMAP of {MANY_POINTS} points, seconds": fitted[0],
        "one image placed into it, seconds": fitted[1],
        f"the session's map of {len(grown.points)} points with one more photo, seconds": round(one_more, 3),
        f"session of {len(session.photos)} photos, MB": round(held_bytes(session) / 1e6, 1),
        "photo": "{}×{}".format(*PHOTO_SIZE),
    }


def _found(session: Session, selection: Selection, query: match.Query, level: str, *, predictor: Predictor) -> str:
    """HTML of the matches in each photo of the session."""
    found = match.find_matches(session, selection, level, query=query, predictor=predictor)
    return match.render_matches(found, is_cosine=query != "class")


def _painted(session: Session, selection: Selection, *, predictor: Predictor) -> Experiment:
    """An experiment with a class painted as a box on one photo."""
    prediction = session.required_photo(selection).prediction
    box = (Stroke("box", ((200, 100), (280, 180))),)
    experiment = Experiment(session.model).with_strokes(prediction, box)
    return add_painted_class(experiment, session, predictor=predictor, name="box", method="pyramid", prototypes=1)


def _full_session(registry: ModelRegistry) -> Session:
    """A session with the maximum number of photos: different crops of one photo."""
    session = new_session(registry)
    predictor = registry.open(session.model)
    astronaut = Image.fromarray(skimage.data.astronaut())
    width, height = PHOTO_SIZE
    for number in range(session.limits.photos):
        left, top = number, 7 * number
        image = astronaut.crop((left, top, left + width, top + height))
        session = session.with_photo(Photo(str(number), predictor.predict(image)))
    return session


def _wait_for_umap(umap: UmapWorker) -> tuple[float, float]:
    """Seconds to fit clustered random points, and to place 60 more."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(40, 96)) * 3
    vectors = (centers[rng.integers(40, size=MANY_POINTS)] + rng.normal(size=(MANY_POINTS, 96))).astype(np.float32)
    deadline = time.monotonic() + WORKER_SECONDS
    while not umap.ready and time.monotonic() < deadline:
        time.sleep(0.2)
    start = time.perf_counter()
    projection = project(vectors, ProjectionOptions(), fitter=umap)
    between = time.perf_counter()
    place(projection, vectors[:60] + 0.1, fitter=umap)
    return round(between - start, 2), round(time.perf_counter() - between, 3)


def held_bytes(value: Any) -> int:
    """Size in bytes of all arrays, tensors and images reachable from a value, each counted once."""
    seen: dict[int, int] = {}

    def visit(part: Any) -> None:
        if id(part) in seen:
            return
        if isinstance(part, np.ndarray):
            seen[id(part)] = part.nbytes
        elif isinstance(part, torch.Tensor):
            seen[id(part)] = part.numel() * part.element_size()
        elif isinstance(part, Image.Image):
            seen[id(part)] = part.width * part.height * len(part.getbands())
        elif is_dataclass(part):
            for field in fields(part):
                visit(getattr(part, field.name))
        elif isinstance(part, dict):
            for item in part.values():
                visit(item)
        elif isinstance(part, list | tuple):
            for item in part:
                visit(item)

    visit(value)
    return sum(seen.values())
