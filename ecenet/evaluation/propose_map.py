"""A first draft of a class map: equal names, whatever their spelling, and a few common synonyms."""

import re
from collections.abc import Sequence
from typing import NamedTuple

SYNONYMS = (
    ("aeroplane", "airplane", "plane"),
    ("bicycle", "bike"),
    ("building", "edifice"),
    ("cabinet", "cupboard"),
    ("car", "automobile"),
    ("curtain", "drape"),
    ("earth", "ground", "dirt"),
    ("floor", "flooring"),
    ("grass", "lawn"),
    ("motorbike", "motorcycle"),
    ("painting", "picture"),
    ("person", "people", "pedestrian", "human", "body"),
    ("potted plant", "pot plant", "houseplant"),
    ("road", "street"),
    ("rug", "carpet"),
    ("sidewalk", "pavement"),
    ("sign", "signboard", "traffic sign"),
    ("sofa", "couch"),
    ("table", "dining table"),
    ("tree", "vegetation"),
    ("tv monitor", "tv", "television", "television receiver"),
    ("window", "windowpane"),
)
"""Names that data sets use for the same things; the first match in the order of a line is taken."""
REST_NAMES = ("background", "other", "others", "unlabeled")
"""Classes of the data that stand for everything else, by the names that they have."""


class Proposal(NamedTuple):
    """A draft to be read and corrected by a person."""

    content: dict[str, object]
    """`classes` and `rest`, as `read_class_map` takes them."""
    unmatched_weights: list[str]
    """Classes of the weights that no class of the data was found for: they count as `rest`, or as wrong without."""
    unmatched_data: list[str]
    """Classes of the data that no class of the weights counts as, `rest` left out."""


def propose_map(weights_names: Sequence[str], data_names: Sequence[str]) -> Proposal:
    """Match names that are equal but for case, spaces, underscores, hyphens and plurals; then synonyms.

    `rest` is the data's class for everything else, such as background, unless the weights have it, too.
    """
    classes = {}
    for name in weights_names:
        found = _match(name, data_names)
        if found is not None:
            classes[name] = found
    taken = set(classes.values())
    rest = next((name for name in data_names if _compact(name) in REST_NAMES and name not in taken), None)
    return Proposal(
        content={"classes": classes, "rest": rest},
        unmatched_weights=[name for name in weights_names if name not in classes],
        unmatched_data=[name for name in data_names if name not in taken and name != rest],
    )


def _match(name: str, among: Sequence[str]) -> str | None:
    """The first of these names that means the same: equal spelling before synonyms."""
    lines = [line for line in SYNONYMS if any(_same(name, word) for word in line)]
    for candidate in [name, *(word for line in lines for word in line)]:
        for other in among:
            if _same(candidate, other):
                return other
    return None


def _same(first: str, second: str) -> bool:
    """Whether two names differ in nothing but spelling and number."""
    a, b = _compact(first), _compact(second)
    return a in _forms(b) or b in _forms(a)


def _compact(name: str) -> str:
    """Small letters and digits alone."""
    return re.sub(r"[\s_\-]+", "", name.casefold())


def _forms(word: str) -> set[str]:
    """The word and what may be its plural."""
    return {word, f"{word}s", f"{word}es", *({f"{word[:-1]}ies"} if word.endswith("y") else ())}
