"""Few-shot study: paint classes unknown to the weights on a few photos and find them in others. Not from the paper.

Painted classes of ECENet are compared with averaged prototypes of features of the same weights, without the head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from tqdm import tqdm

from ecenet.analysis.interventions.painting import Pooling
from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.split import LabelledSplit, class_pixels, evenly_spread
from ecenet.inference.predictor import Predictor
from ecenet.studies.finders import Finder, Variant, make_finders
from ecenet.studies.options import FewShotOptions, Rivals
from ecenet.studies.results import spread

SAME_SENSE = (
    frozenset({"person", "pedestrian", "bicyclist", "rider"}),
    frozenset({"tree", "vegetation", "pottedplant", "pottedplants"}),
)
"""Names of classes that overlap so much that weights trained on one know the others, e.g. bicyclist and person."""
CATCH_ALL = frozenset({"background", "other", "void"})
"""Catch-all classes, which cannot be painted."""


class FewShotRow(NamedTuple):
    """Result of one method for one class."""

    class_name: str
    shots: int
    variant: Variant
    iou: list[float]
    """IoU of each draw, 0 … 1, over the pixels of all queries."""

    def to_json(self) -> dict[str, Any]:
        figures = {"iou": self.iou, "mean": float(np.mean(self.iou)), "deviation": deviation(self.iou)}
        return {"class": self.class_name, "shots": self.shots, **self.variant._asdict(), **figures}


@dataclass(frozen=True)
class FewShotResult:
    """All rows, with the settings of the study."""

    about: dict[str, Any]
    rows: list[FewShotRow]

    def to_json(self) -> dict[str, Any]:
        return {"about": self.about, "rows": [row.to_json() for row in self.rows]}


class Episode(NamedTuple):
    """A class painted on the photos of one draw."""

    class_index: int
    draw: int
    finders: dict[int, dict[Variant, Finder]]
    """Finders by number of shots."""


def few_shot(
    predictor: Predictor, support: LabelledSplit, query: LabelledSplit, options: FewShotOptions | None = None
) -> FewShotResult:
    """Draw photos of the support split, make classes from their ground truth, and find these in the query split.

    Queries are photos that contain the class, so the study measures segmentation quality, not false positives in
    photos without the class. Unlabelled pixels are ignored in both splits.

    Raises:
        UserError: the weights know the classes, a split has too few photos with a class, or an option is out of range.
    """
    options = options or FewShotOptions()
    _check(options, support, query)
    names = support.labels.class_names
    classes = unseen_classes(predictor.model.class_names, names, asked=options.classes)
    shares, query_shares = _shares(support), _shares(query)
    episodes = []
    with tqdm(total=len(classes) * options.draws, desc=f"Painting on {support.split}", unit="draw") as bar:
        for k in classes:
            for draw in range(options.draws):
                photos = draw_support(shares[:, k], options=options, class_index=k, draw=draw, name=names[k])
                episodes.append(Episode(k, draw, _finders(predictor, support, k, photos, options)))
                bar.update()
    queries = {k: pick_queries(query_shares[:, k], options=options, name=names[k]) for k in classes}
    counts = _count(predictor, query, episodes, queries)
    rows = [
        FewShotRow(names[k], shots, variant, [_iou(counts[k, draw, shots, variant]) for draw in range(options.draws)])
        for k in classes
        for shots, finders in episodes[0].finders.items()
        for variant in finders
    ]
    about = {
        "weights_hash": predictor.weights_hash,
        "image_size": predictor.image_size,
        "data": support.labels.name,
        "support": support.split,
        "query": query.split,
        "queries": {names[k]: len(indices) for k, indices in queries.items()},
        "options": asdict(options),
    }
    return FewShotResult(about, rows)


def unseen_classes(known: Sequence[str], names: Sequence[str], *, asked: Sequence[str] = ()) -> list[int]:
    """Indices of the classes in `names` that are new to weights with the classes `known`, by name and synonym.

    Only the synonyms in `SAME_SENSE` are considered. Unlabelled objects in the training photos (such as roads in the
    background class of VOC) and the classes that the backbone was pretrained on (for the included weights, all classes
    of VOC) are not.

    Args:
        asked: names to use; all by default.
    Raises:
        UserError: a requested class does not exist or is known, or all classes are known.
    """
    senses = {_plain(name) for name in known}
    senses |= {name for group in SAME_SENSE if group & senses for name in group}
    unseen = [name for name in names if _plain(name) not in senses | CATCH_ALL]
    for name in asked:
        if name not in unseen:
            why = "the weights know it or a synonym" if name in names else "the data does not have it"
            raise UserError(
                "unknown-choice",
                f"Expected classes among {', '.join(unseen) or 'none'}, got {name!r} ({why}); choose from these.",
            )
    if not unseen:
        raise UserError(
            "not-enough-data",
            f"Expected data with a class that is new to the weights, got only {', '.join(names)}; "
            "choose other data or other weights.",
        )
    return [names.index(name) for name in (asked or unseen)]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def draw_support(shares: np.ndarray, *, options: FewShotOptions, class_index: int, draw: int, name: str) -> list[int]:
    """Draw photos for the largest number of shots; smaller numbers use the first of them.

    The result depends only on seed, class and draw, not on the other classes.

    Args:
        shares: (images,) share of the class.
    Raises:
        UserError: too few photos contain the class and something else.
    """
    holds = np.flatnonzero((shares >= options.min_share) & (shares <= 1 - options.min_share))
    wanted = max(options.shots)
    if len(holds) < wanted:
        raise UserError(
            "not-enough-data",
            f"Expected at least {wanted} support photos with {name} and something else, got {len(holds)}; "
            "use fewer shots or choose another class.",
        )
    return np.random.default_rng([options.seed, class_index, draw]).permutation(holds)[:wanted].tolist()


def pick_queries(shares: np.ndarray, *, options: FewShotOptions, name: str) -> list[int]:
    """Up to `options.limit` evenly spaced photos that contain the class; all without a limit.

    Args:
        shares: (images,) share of the class.
    Raises:
        UserError: no photo contains the class.
    """
    holds = np.flatnonzero(shares >= options.min_share)
    if not len(holds):
        raise UserError(
            "not-enough-data", f"Expected query photos with {name}, got none; choose another class or split."
        )
    return holds[evenly_spread(len(holds), limit=options.limit)].tolist()


def _shares(data: LabelledSplit) -> np.ndarray:
    """(images, K) share of each class among each photo's labelled pixels."""
    pixels = class_pixels(data)
    return pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)


def _finders(
    predictor: Predictor, support: LabelledSplit, k: int, photos: Sequence[int], options: FewShotOptions
) -> dict[int, dict[Variant, Finder]]:
    examples = []
    for index in photos:
        image, mask = support.load(index)
        examples.append((predictor.extract_features(image), mask == k, (mask != k) & (mask != IGNORE_INDEX)))
    return {
        shots: make_finders(
            predictor,
            examples[:shots],
            methods=options.methods,
            rivals=options.rivals,
            prototypes=options.prototypes,
            stage=options.stage,
        )
        for shots in options.shots
    }


def _count(
    predictor: Predictor, query: LabelledSplit, episodes: Sequence[Episode], queries: Mapping[int, Sequence[int]]
) -> dict[tuple[int, int, int, Variant], np.ndarray]:
    """(2,) intersection and union in pixels over the queries, by class, draw, shots and variant."""
    counts: dict[tuple[int, int, int, Variant], np.ndarray] = {}
    # Loop over photos outside, since the features are shared by all classes, draws and variants.
    for index in tqdm(sorted(set().union(*queries.values())), desc=f"Looking in {query.split}", unit="image"):
        image, mask = query.load(index)
        features = predictor.extract_features(image)
        labelled = mask != IGNORE_INDEX
        for episode in episodes:
            k = episode.class_index
            if index not in queries[k]:
                continue
            for shots, finders in episode.finders.items():
                for variant, find in finders.items():
                    found = find(features) & labelled
                    pixels = np.array([(found & (mask == k)).sum(), (found | (mask == k)).sum()])
                    key = (k, episode.draw, shots, variant)
                    counts[key] = counts.get(key, 0) + pixels
    return counts


def _iou(pixels: np.ndarray) -> float:
    return float(pixels[0] / pixels[1])


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation over draws; 0 for a single draw."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _check(options: FewShotOptions, support: LabelledSplit, query: LabelledSplit) -> None:
    if support.masks == query.masks:
        raise UserError(
            "conflicting-options",
            f"Expected queries from another split than the painted photos, got {query.split} for both; "
            "choose two splits.",
        )
    if support.labels.class_names != query.labels.class_names:
        raise UserError(
            "wrong-classes", "Expected two splits with the same classes; choose splits of the same data set."
        )
    if not options.shots or min(*options.shots, options.draws, options.limit or 1) < 1 or options.limit == 0:
        raise UserError(
            "out-of-range",
            f"Expected shots, draws and a limit of at least 1, got {options.shots}, {options.draws} and "
            f"{options.limit}; choose higher numbers.",
        )
    for kinds, known in ((options.methods, get_args(Pooling)), (options.rivals, get_args(Rivals))):
        if not kinds or set(kinds) - set(known):
            raise UserError(
                "unknown-choice",
                f"Expected some of {', '.join(known)}, got {', '.join(kinds) or 'none'}; choose from these.",
            )
    if not 0 < options.min_share < 0.5:
        raise UserError(
            "out-of-range",
            f"Expected a minimum share between 0 and 0.5, got {options.min_share:g}; choose a value in that range.",
        )


def few_shot_table(result: FewShotResult) -> str:
    """Markdown table of the IoU of the new class in percent, mean ± standard deviation over draws. The last column is
    the mean over classes, with the deviation of the draws' means."""
    names = list(dict.fromkeys(row.class_name for row in result.rows))
    lines = [
        f"| shots | method | rivals | {' | '.join(names)} | mean |",
        "|---|---|---|" + "---|" * (len(names) + 1),
    ]
    found = {(row.shots, row.variant, row.class_name): row.iou for row in result.rows}
    for shots, variant in dict.fromkeys((row.shots, row.variant) for row in result.rows):
        ious = [found[shots, variant, name] for name in names]
        cells = [spread(values) for values in [*ious, np.mean(ious, axis=0).tolist()]]
        lines.append(f"| {shots} | {variant.method} | {variant.rivals} | {' | '.join(cells)} |")
    return "\n".join(lines)
